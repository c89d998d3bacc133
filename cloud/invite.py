"""`python -m cloud seed --invite AGENT`: a one-time code for an agent, made where the keys lie."""

from cloud.act import Action, Origin, TargetKind, target
from cloud.audit.model import TimedAct
from cloud.audit.service import append_acts
from cloud.enrolment.authority.files import open_authority
from cloud.enrolment.model import Admission
from cloud.enrolment.service import make_code
from cloud.identity import queries as identity_queries
from cloud.identity.model import SYSTEM
from cloud.identity.service import utc_now
from cloud.seed import ORGANISATION, SITE
from cloud.settings import CloudSettings
from cloud.store.connection import Database
from vitals.wire.invitation import Invitation


def invite_agent(connection: Database, agent: str, *, settings: CloudSettings) -> str:
    """A code for an agent of the first site, with the address of the door; the audit knows of it.

    Raises:
        EnrolmentError: the name cannot be, or is taken.
        TrustUnusable: the authority's files.
    """
    authority = open_authority(settings.home / "keys", now=utc_now())
    with connection.transaction():
        identity_queries.upsert_organisation(
            connection, ORGANISATION, site_id=SITE, name_zh="本机构", name_en="This organisation"
        )
        wish = Admission(agent=agent, site_id=SITE)
        made = make_code(connection, SYSTEM, wish, authority=authority, now=utc_now())
        act = SYSTEM.act(Action.INVITE_AGENT, target(TargetKind.AGENT, agent), origin=Origin.COMMAND)
        append_acts(connection, [TimedAct(act=act, at=utc_now())])
    return str(Invitation(code=made.code, host=settings.agent_names[0], port=settings.agent_port))
