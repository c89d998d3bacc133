"""The audit as FHIR R4 `AuditEvent` (https://hl7.org/fhir/R4/auditevent.html): a projection, not the record.

Types and subtypes are codes of DICOM PS3.16 CID 400 and 401 where there is one; `action` is a letter of
RFC 3881.
"""

from dataclasses import dataclass
from datetime import UTC

from cloud.act import Action, Outcome, TargetKind
from cloud.audit.model import Entry, from_us

Resource = dict[str, object]
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_HL7 = "http://terminology.hl7.org/CodeSystem"
_OWN = "urn:qianli"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How an action is classified."""

    type: tuple[str, str]
    subtype: tuple[str, str] | None = None
    letter: str


_LOGIN = ("110114", "User Authentication")
_RECORD = ("110110", "Patient Record")
_RIGHTS = ("110137", "User Security Attributes Changed")
_SETUP = ("110100", "Application Activity")
_SECURITY = ("110129", "Security Configuration")
_EMERGENCY = ("110127", "Emergency Override Started")
_AUDIT_LOG = ("110101", "Audit Log Used")
_KINDS = {
    Action.LOG_IN: _Kind(type=_LOGIN, subtype=("110122", "Login"), letter="E"),
    Action.LOG_OUT: _Kind(type=_LOGIN, subtype=("110123", "Logout"), letter="E"),
    Action.WATCH: _Kind(type=_RECORD, letter="R"),
    Action.READ_TREND: _Kind(type=_RECORD, letter="R"),
    Action.READ_WAVES: _Kind(type=_RECORD, letter="R"),
    Action.ASK: _Kind(type=("110113", "Security Alert"), letter="R"),
    Action.CREATE_ACCOUNT: _Kind(type=_RIGHTS, letter="C"),
    Action.CREATE_PATIENT: _Kind(type=_RECORD, letter="C"),
    Action.CHANGE_PATIENT: _Kind(type=_RECORD, letter="U"),
    Action.BEGIN_BINDING: _Kind(type=_RECORD, letter="C"),
    Action.END_BINDING: _Kind(type=_RECORD, letter="U"),
    Action.FIND_PERSON: _Kind(type=("110112", "Query"), letter="E"),
    Action.READ_PERSON: _Kind(type=_RECORD, letter="R"),
    Action.FIND_CANDIDATES: _Kind(type=_RECORD, letter="R"),
    Action.ADD_IDENTIFIER: _Kind(type=_RECORD, letter="U"),
    Action.MERGE_PATIENT: _Kind(type=_RECORD, letter="U"),
    Action.UNMERGE_PATIENT: _Kind(type=_RECORD, letter="U"),
    Action.CREATE_ORGANISATION: _Kind(type=_SETUP, letter="C"),
    Action.CHANGE_ORGANISATION: _Kind(type=_SETUP, letter="U"),
    Action.CREATE_CONSORTIUM: _Kind(type=_SETUP, letter="C"),
    Action.CHANGE_AFFILIATION: _Kind(type=_SETUP, letter="U"),
    Action.CREATE_SITE: _Kind(type=_SETUP, letter="C"),
    Action.CREATE_LOCATION: _Kind(type=_SETUP, letter="C"),
    Action.CLOSE_LOCATION: _Kind(type=_SETUP, letter="U"),
    Action.MOVE_PATIENT: _Kind(type=_RECORD, letter="U"),
    Action.DISCHARGE_PATIENT: _Kind(type=_RECORD, letter="U"),
    Action.FIND_ON_DUTY: _Kind(type=_RECORD, letter="R"),
    Action.CREATE_PRACTITIONER: _Kind(type=_RIGHTS, letter="C"),
    Action.READ_PRACTITIONER: _Kind(type=_SETUP, letter="R"),
    Action.BEGIN_ROLE: _Kind(type=_RIGHTS, letter="U"),
    Action.END_ROLE: _Kind(type=_RIGHTS, letter="U"),
    Action.ADD_QUALIFICATION: _Kind(type=_RIGHTS, letter="U"),
    Action.REVOKE_QUALIFICATION: _Kind(type=_RIGHTS, letter="U"),
    Action.CREATE_TEAM: _Kind(type=_RIGHTS, letter="C"),
    Action.CHANGE_TEAM: _Kind(type=_RIGHTS, letter="U"),
    Action.ADD_DUTY: _Kind(type=_RIGHTS, letter="U"),
    Action.END_DUTY: _Kind(type=_RIGHTS, letter="U"),
    Action.DISABLE_ACCOUNT: _Kind(type=_RIGHTS, letter="U"),
    Action.STEP_UP: _Kind(type=_LOGIN, letter="E"),
    Action.ENROL_SECOND_FACTOR: _Kind(type=_RIGHTS, letter="C"),
    Action.REMOVE_SECOND_FACTOR: _Kind(type=_RIGHTS, letter="D"),
    Action.RENEW_RECOVERY_CODES: _Kind(type=_RIGHTS, letter="U"),
    Action.SUSPEND_PASSKEY: _Kind(type=_RIGHTS, letter="U"),
    Action.REVOKE_SESSION: _Kind(type=_LOGIN, subtype=("110123", "Logout"), letter="E"),
    Action.UNLOCK_ACCOUNT: _Kind(type=_RIGHTS, letter="U"),
    Action.ENABLE_ACCOUNT: _Kind(type=_RIGHTS, letter="U"),
    Action.CHANGE_PASSWORD: _Kind(type=_RIGHTS, letter="U"),
    Action.RESET_PASSWORD: _Kind(type=_RIGHTS, letter="U"),
    Action.CREATE_CLIENT: _Kind(type=_RIGHTS, letter="C"),
    Action.REVOKE_CLIENT: _Kind(type=_RIGHTS, letter="D"),
    Action.ISSUE_TOKEN: _Kind(type=_LOGIN, subtype=("110122", "Login"), letter="E"),
    Action.REVOKE_TOKEN: _Kind(type=_LOGIN, subtype=("110123", "Logout"), letter="E"),
    Action.SIGN_DOCUMENT: _Kind(type=_RECORD, letter="U"),
    Action.EXPORT_PERSON: _Kind(type=("110106", "Export"), letter="R"),
    Action.REQUEST_DELETION: _Kind(type=_RECORD, letter="U"),
    Action.DECIDE_DELETION: _Kind(type=_RECORD, letter="U"),
    Action.ERASE_PERSON: _Kind(type=("110110", "Patient Record"), letter="D"),
    Action.READ_DELETIONS: _Kind(type=("110112", "Query"), letter="E"),
    Action.REMOVE_OLD: _Kind(type=_RECORD, letter="D"),
    Action.ROTATE_KEYS: _Kind(type=("110136", "Security Roles Changed"), letter="U"),
    Action.INVITE_AGENT: _Kind(type=_SECURITY, letter="C"),
    Action.ENROL_AGENT: _Kind(type=_SECURITY, letter="C"),
    Action.RENEW_AGENT: _Kind(type=_SECURITY, letter="U"),
    Action.REVOKE_AGENT: _Kind(type=_SECURITY, letter="D"),
    Action.REPLAY_MESSAGE: _Kind(type=_SECURITY, letter="E"),
    Action.ISSUE_COMMAND: _Kind(type=_SECURITY, letter="E"),
    Action.READ_CONTEXT: _Kind(type=_RECORD, letter="R"),
    Action.READ_BINDINGS: _Kind(type=_RECORD, letter="R"),
    Action.CORRECT_BINDING: _Kind(type=_RECORD, letter="U"),
    Action.READ_UNCLAIMED: _Kind(type=_RECORD, letter="R"),
    Action.CLAIM_MEASUREMENT: _Kind(type=_RECORD, letter="U"),
    Action.DISMISS_MEASUREMENT: _Kind(type=_RECORD, letter="U"),
    Action.GIVE_CONSENT: _Kind(type=_RIGHTS, letter="C"),
    Action.WITHDRAW_CONSENT: _Kind(type=_RIGHTS, letter="U"),
    Action.READ_CONSENTS: _Kind(type=_RECORD, letter="R"),
    Action.INVITE_FAMILY: _Kind(type=_RIGHTS, letter="C"),
    Action.ACCEPT_INVITATION: _Kind(type=_RIGHTS, letter="U"),
    Action.REVOKE_FAMILY: _Kind(type=_RIGHTS, letter="U"),
    Action.READ_FAMILY: _Kind(type=_RECORD, letter="R"),
    Action.BREAK_GLASS: _Kind(type=_EMERGENCY, letter="C"),
    Action.REVIEW_BREAK_GLASS: _Kind(type=_EMERGENCY, letter="U"),
    Action.LIST_BREAK_GLASS: _Kind(type=_AUDIT_LOG, letter="R"),
    Action.READ_NOTICES: _Kind(type=_RECORD, letter="R"),
    Action.READ_LOOKS: _Kind(type=_AUDIT_LOG, letter="R"),
    Action.SEARCH_AUDIT: _Kind(type=_AUDIT_LOG, letter="R"),
}
_OUTCOMES = {Outcome.ALLOWED: "0", Outcome.REFUSED: "4", Outcome.THROTTLED: "4"}
_PURPOSES = {"care": ("TREAT", "treatment"), "operation": ("HSYSADMIN", "health system administration")}
_PERSON = ("1", "Person")
_SYSTEM_OBJECT = ("2", "System Object")
_ENTITIES = {
    TargetKind.PATIENT: (_PERSON, ("1", "Patient")),
    TargetKind.ACCOUNT: (_SYSTEM_OBJECT, ("11", "Security User Entity")),
    TargetKind.BINDING: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.WARD: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.ROUTE: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.AGENT: (_SYSTEM_OBJECT, ("11", "Security User Entity")),
    TargetKind.IDENTIFIER: (_SYSTEM_OBJECT, ("24", "Query")),
    TargetKind.ORGANISATION: (("3", "Organization"), ("4", "Domain Resource")),
    TargetKind.CONSORTIUM: (("3", "Organization"), ("4", "Domain Resource")),
    TargetKind.SITE: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.LOCATION: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.PRACTITIONER: (_PERSON, ("15", "Provider")),
    TargetKind.TEAM: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.SESSION: (_SYSTEM_OBJECT, ("11", "Security User Entity")),
    TargetKind.CLIENT: (_SYSTEM_OBJECT, ("11", "Security User Entity")),
    TargetKind.DOCUMENT: (_SYSTEM_OBJECT, ("3", "Report")),
    TargetKind.DELETION: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.REMOVAL: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.KEY: (_SYSTEM_OBJECT, ("13", "Security Resource")),
    TargetKind.SOURCE: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.BREAK_GLASS: (_SYSTEM_OBJECT, ("4", "Domain Resource")),
    TargetKind.AUDIT: (_SYSTEM_OBJECT, ("13", "Security Resource")),
}


def audit_event(entry: Entry) -> Resource:
    """One entry as a resource; its place in the chain goes along as an extension."""
    act = entry.act()
    kind = _KINDS[act.action]
    own_subtype = {"system": f"{_OWN}:audit-action", "code": act.action.value}
    dicom_subtype = [] if kind.subtype is None else [_coding(_DCM, kind.subtype)]
    event: Resource = {
        "resourceType": "AuditEvent",
        "id": f"audit-{entry.sequence}",
        "extension": [_chain(entry)],
        "type": _coding(_DCM, kind.type),
        "subtype": [*dicom_subtype, own_subtype],
        "action": kind.letter,
        "recorded": from_us(entry.at_us)
        .astimezone(UTC)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z"),
        "outcome": _OUTCOMES[act.outcome],
        "outcomeDesc": act.outcome.value,
    }
    purpose = _PURPOSES.get(act.purpose)
    if purpose is not None:
        event["purposeOfEvent"] = [{"coding": [_coding(f"{_HL7}/v3-ActReason", purpose)]}]
    event["agent"] = [_agent(entry)]
    event["source"] = _source(entry)
    event["entity"] = [_entity(act.target.kind, act.target.id)]
    return event


def _coding(system: str, code: tuple[str, str]) -> Resource:
    return {"system": system, "code": code[0], "display": code[1]}


def _chain(entry: Entry) -> Resource:
    parts = (("sequence", str(entry.sequence)), ("previous", entry.previous_hash), ("hash", entry.hash))
    return {
        "url": f"{_OWN}:audit-chain",
        "extension": [{"url": name, "valueString": text} for name, text in parts],
    }


def _agent(entry: Entry) -> Resource:
    return {
        "role": [{"coding": [{"system": f"{_OWN}:role", "code": entry.role}]}],
        "who": {"identifier": {"system": f"{_OWN}:person", "value": entry.person}},
        "requestor": True,
        **({"policy": [f"{_OWN}:basis:{entry.basis}"]} if entry.basis else {}),
    }


def _source(entry: Entry) -> Resource:
    source: Resource = {
        "observer": {"identifier": {"system": f"{_OWN}:service", "value": f"cloud-{entry.origin}"}},
        "type": [_coding(f"{_HL7}/security-source-type", ("4", "Application Server"))],
    }
    return {"site": entry.organisation, **source} if entry.organisation else source


def _entity(kind: TargetKind, target_id: str) -> Resource:
    entity_type, role = _ENTITIES[kind]
    what: Resource = {"identifier": {"system": f"{_OWN}:{kind.value}", "value": target_id}}
    return {
        "what": what if target_id else {"display": kind.value},
        "type": _coding(f"{_HL7}/audit-entity-type", entity_type),
        "role": _coding(f"{_HL7}/object-role", role),
    }
