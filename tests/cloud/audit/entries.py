"""A short history of every kind of act, the same in every run."""

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.act import Action, Origin, Outcome, Target, TargetKind, act_of_nobody, target
from cloud.audit.lines import write_lines
from cloud.audit.model import Head, TimedAct, chain_acts, sign_head
from cloud.identity.model import SYSTEM, Role, subject_of

START = datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
DOCTOR = subject_of(person="person-d", role=Role.CLINICIAN, organisation="first-hospital")
AUDITOR = subject_of(person="person-a", role=Role.AUDITOR, organisation="first-hospital")
RESIDENT = subject_of(person="person-r", role=Role.RESIDENT, organisation="first-hospital")
GLASS = target(TargetKind.BREAK_GLASS, "glass-1")
ACCOUNT = Target(kind=TargetKind.ACCOUNT, id="person-d")
PATIENT = target(TargetKind.PATIENT, "p-1")
BINDING = target(TargetKind.BINDING, "s-1:p-1")
ADMINISTRATOR = subject_of(person="person-a", role=Role.ADMINISTRATOR, organisation="first-hospital")
ABOUT_PLACES = {
    TargetKind.ORGANISATION: (Action.CREATE_ORGANISATION, Action.CHANGE_ORGANISATION),
    TargetKind.CONSORTIUM: (Action.CREATE_CONSORTIUM, Action.CHANGE_AFFILIATION),
    TargetKind.SITE: (Action.CREATE_SITE,),
    TargetKind.LOCATION: (Action.CREATE_LOCATION, Action.CLOSE_LOCATION),
    TargetKind.PRACTITIONER: (
        Action.CREATE_PRACTITIONER,
        Action.READ_PRACTITIONER,
        Action.BEGIN_ROLE,
        Action.END_ROLE,
        Action.ADD_QUALIFICATION,
        Action.REVOKE_QUALIFICATION,
        Action.ADD_DUTY,
        Action.END_DUTY,
    ),
    TargetKind.TEAM: (Action.CREATE_TEAM, Action.CHANGE_TEAM),
    TargetKind.ACCOUNT: (Action.DISABLE_ACCOUNT,),
}
ABOUT_SIGN_IN = {
    TargetKind.ACCOUNT: (
        Action.STEP_UP,
        Action.ENROL_SECOND_FACTOR,
        Action.REMOVE_SECOND_FACTOR,
        Action.RENEW_RECOVERY_CODES,
        Action.SUSPEND_PASSKEY,
        Action.UNLOCK_ACCOUNT,
        Action.ENABLE_ACCOUNT,
    ),
    TargetKind.SESSION: (Action.REVOKE_SESSION,),
    TargetKind.CLIENT: (
        Action.CREATE_CLIENT,
        Action.REVOKE_CLIENT,
        Action.ISSUE_TOKEN,
        Action.REVOKE_TOKEN,
    ),
}
AGENT = target(TargetKind.AGENT, "hut-1")
ACTS = (
    SYSTEM.act(Action.CREATE_ACCOUNT, ACCOUNT, origin=Origin.COMMAND),
    SYSTEM.act(Action.CREATE_PATIENT, PATIENT, origin=Origin.COMMAND),
    SYSTEM.act(Action.CHANGE_PATIENT, PATIENT, origin=Origin.COMMAND),
    SYSTEM.act(Action.BEGIN_BINDING, BINDING, origin=Origin.COMMAND),
    SYSTEM.act(Action.END_BINDING, BINDING, origin=Origin.COMMAND),
    act_of_nobody(Action.LOG_IN, ACCOUNT, outcome=Outcome.REFUSED, origin=Origin.HTTP),
    act_of_nobody(Action.LOG_IN, ACCOUNT, outcome=Outcome.THROTTLED, origin=Origin.HTTP),
    DOCTOR.act(Action.LOG_IN, ACCOUNT, origin=Origin.HTTP),
    DOCTOR.act(Action.WATCH, PATIENT, origin=Origin.WEBSOCKET, basis="duty"),
    DOCTOR.act(Action.WATCH, Target(kind=TargetKind.WARD, id="first-hospital"), origin=Origin.WEBSOCKET),
    DOCTOR.act(Action.READ_TREND, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(Action.READ_WAVES, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(
        Action.ASK, target(TargetKind.PATIENT, "李\x00四"), origin=Origin.HTTP, outcome=Outcome.REFUSED
    ),
    DOCTOR.act(Action.ASK, target(TargetKind.ROUTE, "/api/x"), origin=Origin.HTTP, outcome=Outcome.REFUSED),
    DOCTOR.act(Action.LOG_OUT, ACCOUNT, origin=Origin.HTTP),
    DOCTOR.act(Action.FIND_PERSON, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(Action.FIND_PERSON, target(TargetKind.IDENTIFIER, "resident_id"), origin=Origin.HTTP),
    DOCTOR.act(Action.READ_PERSON, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(Action.FIND_CANDIDATES, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(Action.ADD_IDENTIFIER, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(Action.MERGE_PATIENT, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(Action.UNMERGE_PATIENT, PATIENT, origin=Origin.HTTP),
    *(
        ADMINISTRATOR.act(action, target(kind, f"{kind.value}-1"), origin=Origin.HTTP)
        for kind, actions in ABOUT_PLACES.items()
        for action in actions
    ),
    *(
        DOCTOR.act(action, PATIENT, origin=Origin.HTTP)
        for action in (Action.MOVE_PATIENT, Action.DISCHARGE_PATIENT, Action.FIND_ON_DUTY)
    ),
    *(
        ADMINISTRATOR.act(action, target(kind, f"{kind.value}-1"), origin=Origin.HTTP)
        for kind, actions in ABOUT_SIGN_IN.items()
        for action in actions
    ),
    DOCTOR.act(Action.INVITE_AGENT, AGENT, origin=Origin.HTTP),
    DOCTOR.act(Action.ENROL_AGENT, AGENT, origin=Origin.HTTP),
    DOCTOR.act(Action.RENEW_AGENT, AGENT, origin=Origin.HTTP),
    DOCTOR.act(Action.REVOKE_AGENT, AGENT, origin=Origin.HTTP),
    DOCTOR.act(Action.ISSUE_COMMAND, AGENT, origin=Origin.HTTP),
    DOCTOR.act(Action.REPLAY_MESSAGE, AGENT, origin=Origin.HTTP),
    DOCTOR.act(Action.READ_CONTEXT, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(Action.SIGN_DOCUMENT, target(TargetKind.DOCUMENT, "consent-1"), origin=Origin.HTTP),
    RESIDENT.act(Action.EXPORT_PERSON, PATIENT, origin=Origin.HTTP, basis="self"),
    DOCTOR.act(Action.REQUEST_DELETION, PATIENT, origin=Origin.HTTP, basis="duty"),
    AUDITOR.act(Action.DECIDE_DELETION, target(TargetKind.DELETION, "7"), origin=Origin.HTTP),
    AUDITOR.act(Action.ERASE_PERSON, PATIENT, origin=Origin.HTTP),
    AUDITOR.act(Action.READ_DELETIONS, target(TargetKind.DELETION, "all"), origin=Origin.HTTP),
    SYSTEM.act(Action.ROTATE_KEYS, target(TargetKind.KEY, "2"), origin=Origin.COMMAND),
    DOCTOR.act(Action.READ_BINDINGS, PATIENT, origin=Origin.HTTP),
    DOCTOR.act(Action.CORRECT_BINDING, BINDING, origin=Origin.HTTP),
    DOCTOR.act(Action.READ_UNCLAIMED, target(TargetKind.WARD, "first-hospital"), origin=Origin.HTTP),
    DOCTOR.act(Action.CLAIM_MEASUREMENT, BINDING, origin=Origin.HTTP),
    DOCTOR.act(Action.DISMISS_MEASUREMENT, target(TargetKind.SOURCE, "s-1"), origin=Origin.HTTP),
    DOCTOR.act(Action.GIVE_CONSENT, PATIENT, origin=Origin.HTTP, basis="encounter"),
    RESIDENT.act(Action.WITHDRAW_CONSENT, PATIENT, origin=Origin.HTTP, basis="self"),
    RESIDENT.act(Action.READ_CONSENTS, PATIENT, origin=Origin.HTTP, basis="self"),
    RESIDENT.act(Action.INVITE_FAMILY, PATIENT, origin=Origin.HTTP, basis="self"),
    RESIDENT.act(Action.ACCEPT_INVITATION, PATIENT, origin=Origin.HTTP),
    RESIDENT.act(Action.REVOKE_FAMILY, PATIENT, origin=Origin.HTTP, basis="self"),
    RESIDENT.act(Action.READ_FAMILY, PATIENT, origin=Origin.HTTP, basis="self"),
    DOCTOR.act(Action.BREAK_GLASS, PATIENT, origin=Origin.HTTP, basis="break_glass"),
    AUDITOR.act(Action.REVIEW_BREAK_GLASS, GLASS, origin=Origin.HTTP),
    AUDITOR.act(Action.LIST_BREAK_GLASS, GLASS, origin=Origin.HTTP),
    RESIDENT.act(Action.READ_NOTICES, PATIENT, origin=Origin.HTTP, basis="self"),
    RESIDENT.act(Action.READ_LOOKS, PATIENT, origin=Origin.HTTP, basis="self"),
    SYSTEM.act(Action.REMOVE_OLD, target(TargetKind.REMOVAL, "3:12:ab"), origin=Origin.TIMER),
    AUDITOR.act(Action.SEARCH_AUDIT, Target(kind=TargetKind.AUDIT, id="search"), origin=Origin.HTTP),
    DOCTOR.act(Action.CHANGE_PASSWORD, ACCOUNT, origin=Origin.HTTP),
    ADMINISTRATOR.act(Action.RESET_PASSWORD, ACCOUNT, origin=Origin.HTTP),
)
TIMED = [TimedAct(act=act, at=START + timedelta(seconds=number)) for number, act in enumerate(ACTS)]
ENTRIES = chain_acts(Head(), TIMED)


def signed_at(entries, *numbers, key=KEY):
    """Checkpoints below these entries."""
    heads = [Head(sequence=number, hash=entries[number - 1].hash) for number in numbers]
    return [sign_head(key, head, at=START) for head in heads]


def exported(entries=ENTRIES, key=KEY):
    """The lines of an export with a signature in the middle and one at the end."""
    return list(write_lines(entries, signed_at(entries, len(entries) // 2, len(entries), key=key)))
