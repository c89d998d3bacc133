"""What somebody did or looked at, as every room says it, and who takes note of it.

The words of the enumerations stand in a chain of hashes: they may be added to, never renamed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cloud.errors import CloudError

LONGEST_ID = 200
Written = Callable[[], None]


class Action(StrEnum):
    """What was done."""

    LOG_IN = "log_in"
    LOG_OUT = "log_out"
    WATCH = "watch"
    READ_TREND = "read_trend"
    READ_WAVES = "read_waves"
    ASK = "ask"
    CREATE_ACCOUNT = "create_account"
    CREATE_PATIENT = "create_patient"
    CHANGE_PATIENT = "change_patient"
    BEGIN_BINDING = "begin_binding"
    END_BINDING = "end_binding"
    FIND_PERSON = "find_person"
    READ_PERSON = "read_person"
    FIND_CANDIDATES = "find_candidates"
    ADD_IDENTIFIER = "add_identifier"
    MERGE_PATIENT = "merge_patient"
    UNMERGE_PATIENT = "unmerge_patient"
    CREATE_ORGANISATION = "create_organisation"
    CHANGE_ORGANISATION = "change_organisation"
    CREATE_CONSORTIUM = "create_consortium"
    CHANGE_AFFILIATION = "change_affiliation"
    CREATE_SITE = "create_site"
    CREATE_LOCATION = "create_location"
    CLOSE_LOCATION = "close_location"
    MOVE_PATIENT = "move_patient"
    DISCHARGE_PATIENT = "discharge_patient"
    FIND_ON_DUTY = "find_on_duty"
    CREATE_PRACTITIONER = "create_practitioner"
    READ_PRACTITIONER = "read_practitioner"
    BEGIN_ROLE = "begin_role"
    END_ROLE = "end_role"
    ADD_QUALIFICATION = "add_qualification"
    REVOKE_QUALIFICATION = "revoke_qualification"
    CREATE_TEAM = "create_team"
    CHANGE_TEAM = "change_team"
    ADD_DUTY = "add_duty"
    END_DUTY = "end_duty"
    DISABLE_ACCOUNT = "disable_account"
    STEP_UP = "step_up"
    ENROL_SECOND_FACTOR = "enrol_second_factor"
    REMOVE_SECOND_FACTOR = "remove_second_factor"
    RENEW_RECOVERY_CODES = "renew_recovery_codes"
    SUSPEND_PASSKEY = "suspend_passkey"
    REVOKE_SESSION = "revoke_session"
    UNLOCK_ACCOUNT = "unlock_account"
    ENABLE_ACCOUNT = "enable_account"
    CHANGE_PASSWORD = "change_password"  # noqa: S105 # an action's name
    RESET_PASSWORD = "reset_password"  # noqa: S105 # an action's name
    CREATE_CLIENT = "create_client"
    REVOKE_CLIENT = "revoke_client"
    ISSUE_TOKEN = "issue_token"  # noqa: S105 # an action's name
    REVOKE_TOKEN = "revoke_token"  # noqa: S105 # an action's name
    SIGN_DOCUMENT = "sign_document"
    EXPORT_PERSON = "export_person"
    REQUEST_DELETION = "request_deletion"
    DECIDE_DELETION = "decide_deletion"
    ERASE_PERSON = "erase_person"
    READ_DELETIONS = "read_deletions"
    REMOVE_OLD = "remove_old"
    ROTATE_KEYS = "rotate_keys"
    INVITE_AGENT = "invite_agent"
    ENROL_AGENT = "enrol_agent"
    RENEW_AGENT = "renew_agent"
    REVOKE_AGENT = "revoke_agent"
    REPLAY_MESSAGE = "replay_message"
    ISSUE_COMMAND = "issue_command"
    READ_CONTEXT = "read_context"
    READ_BINDINGS = "read_bindings"
    CORRECT_BINDING = "correct_binding"
    READ_UNCLAIMED = "read_unclaimed"
    CLAIM_MEASUREMENT = "claim_measurement"
    DISMISS_MEASUREMENT = "dismiss_measurement"
    GIVE_CONSENT = "give_consent"
    WITHDRAW_CONSENT = "withdraw_consent"
    READ_CONSENTS = "read_consents"
    INVITE_FAMILY = "invite_family"
    ACCEPT_INVITATION = "accept_invitation"
    REVOKE_FAMILY = "revoke_family"
    READ_FAMILY = "read_family"
    BREAK_GLASS = "break_glass"
    REVIEW_BREAK_GLASS = "review_break_glass"
    LIST_BREAK_GLASS = "list_break_glass"
    READ_NOTICES = "read_notices"
    READ_LOOKS = "read_looks"
    SEARCH_AUDIT = "search_audit"


class TargetKind(StrEnum):
    """What kind of thing it was done to."""

    ACCOUNT = "account"
    PATIENT = "patient"
    BINDING = "binding"
    WARD = "ward"
    ROUTE = "route"
    IDENTIFIER = "identifier"
    ORGANISATION = "organisation"
    CONSORTIUM = "consortium"
    SITE = "site"
    LOCATION = "location"
    PRACTITIONER = "practitioner"
    TEAM = "team"
    SESSION = "session"
    CLIENT = "client"
    DOCUMENT = "document"
    DELETION = "deletion"
    REMOVAL = "removal"
    KEY = "key"
    AGENT = "agent"
    SOURCE = "source"
    BREAK_GLASS = "break_glass"
    AUDIT = "audit"


class Outcome(StrEnum):
    """How it ended. What is allowed is recorded before it is shown."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    THROTTLED = "throttled"


class Origin(StrEnum):
    """By which door somebody came; never from which address."""

    HTTP = "http"
    WEBSOCKET = "websocket"
    COMMAND = "command"
    TIMER = "timer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A thing by kind and opaque id. A binding is `source:patient`; an identifier is only its kind."""

    kind: TargetKind
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that a person did, or was refused, with one object; `basis`: by which right it was seen."""

    person: str
    role: str
    organisation: str
    purpose: str
    action: Action
    target: Target
    outcome: Outcome
    origin: Origin
    basis: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAct:
    """An act as the audit has it: its number in the chain, and when it was."""

    sequence: int
    at: datetime
    act: Act


class Memory(Protocol):
    """Who knows what was done to a person."""

    def find_acts_about(
        self, patient_ids: Sequence[str], *, before: int | None, limit: int
    ) -> Sequence[RecordedAct]:
        """The newest acts on any of these patients, newest first; `before` is a sequence to go on from."""


def target(kind: TargetKind, asked_id: str) -> Target:
    """A target that can be stored: what somebody typed is cut, and control signs become U+FFFD."""
    kept = "".join(sign if sign.isprintable() else "\ufffd" for sign in asked_id[:LONGEST_ID])
    return Target(kind=kind, id=kept)


def act_of_nobody(action: Action, on: Target, *, outcome: Outcome, origin: Origin) -> Act:
    """An act of somebody who has not shown who they are."""
    return Act(
        person="anonymous",
        role="anonymous",
        organisation="",
        purpose="unknown",
        action=action,
        target=on,
        outcome=outcome,
        origin=origin,
    )


class AuditUnavailable(CloudError):
    """The entry could not be written, so nothing that it tells of may be shown."""

    def __str__(self) -> str:
        return "the audit cannot be written; try again in a moment"


class Recorder(Protocol):
    """Who takes note. Safe to call from any thread."""

    def begin(self, *acts: Act) -> Written:
        """Begin to write; calling the result waits until the entries are durable.

        Raises (from the call of the result):
            AuditUnavailable: they are not, and will not be.
        """

    def note(self, *acts: Act) -> None:
        """Write as soon as it can be done, without waiting: for what happened already."""
