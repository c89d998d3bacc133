"""`python -m cloud seed --ward FILE`: one organisation, two accounts, the patients of a file."""

from datetime import datetime
from typing import TypedDict

from cloud.act import Action, Origin, Target, TargetKind
from cloud.audit.model import TimedAct
from cloud.audit.service import append_acts
from cloud.identity import queries as identity_queries
from cloud.identity.model import SYSTEM, Role
from cloud.identity.service import create_account, utc_now
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
    """Create what is missing, all or nothing, and return the accounts that are new.

    The audit's entries about it belong to the same transaction.
    """
    created: list[NewAccount] = []
    acts = []
    with connection.transaction():
        identity_queries.upsert_organisation(
            connection,
            ORGANISATION,
            site_id=SITE,
            name_zh=ward.organisation_zh,
            name_en=ward.organisation_en,
        )
        for name, role, display in _ACCOUNTS:
            made = create_account(connection, name, role=role, organisation_id=ORGANISATION, display=display)
            if made is not None:
                account, password = made
                created.append({"name": name, "password": password, "role": role.value})
                on = Target(kind=TargetKind.ACCOUNT, id=account.person_id)
                acts.append(SYSTEM.act(Action.CREATE_ACCOUNT, on, origin=Origin.COMMAND))
        acts += place_ward(connection, ward, organisation_id=ORGANISATION, site_id=SITE, now=now)
        append_acts(connection, [TimedAct(act=act, at=utc_now()) for act in acts])
    return created
