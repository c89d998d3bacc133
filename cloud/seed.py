"""`python -m cloud seed --ward FILE`: one organisation, two accounts, the patients of a file."""

from datetime import datetime
from typing import TypedDict

from cloud.identity import queries as identity_queries
from cloud.identity.model import Role
from cloud.identity.service import create_account
from cloud.store.connection import Database
from cloud.ward.model import WardFile
from cloud.ward.service import place_ward

ORGANISATION = "first-hospital"
SITE = "first-ward"
_ACCOUNTS = (
    ("doctor", Role.CLINICIAN, ("医生", "Clinician")),
    ("admin", Role.ADMINISTRATOR, ("管理员", "Administrator")),
)


class NewAccount(TypedDict):
    """An account with the password that nobody will see again."""

    name: str
    password: str
    role: str


def seed_ward(connection: Database, ward: WardFile, *, now: datetime) -> list[NewAccount]:
    """Create what is missing, all or nothing, and return the accounts that are new."""
    created: list[NewAccount] = []
    with connection.transaction():
        identity_queries.upsert_organisation(
            connection,
            ORGANISATION,
            site_id=SITE,
            name_zh=ward.organisation_zh,
            name_en=ward.organisation_en,
        )
        for name, role, display in _ACCOUNTS:
            password = create_account(
                connection, name, role=role, organisation_id=ORGANISATION, display=display
            )
            if password is not None:
                created.append({"name": name, "password": password, "role": role.value})
        place_ward(connection, ward, organisation_id=ORGANISATION, site_id=SITE, now=now)
    return created
