"""Letting agents in, keeping them in, and putting them out."""

import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import structlog
from cryptography import x509

from cloud.act import Act, Action, Origin, Outcome, Recorder, TargetKind, act_of_nobody, target
from cloud.broker.stand_in import context_of
from cloud.enrolment import queries
from cloud.enrolment.authority.certificates import (
    Authority,
    build_crl,
    fingerprint,
    identity_of,
    issue_agent,
    issue_stand_in,
    key_pem,
    new_key,
    pem,
    requested_key,
)
from cloud.enrolment.authority.files import REVOKED, write_public
from cloud.enrolment.model import (
    CODE_LASTS,
    Admission,
    AgentNameInvalid,
    AgentNameTaken,
    AgentUnknown,
    BoundPerson,
    CertificateRefused,
    CodeRefused,
    EnrolledAgent,
    EnrolmentThrottled,
    FailureCount,
    IssuedCertificate,
    ListedAgent,
    MadeCode,
    Occasion,
    SiteUnknown,
    hash_code,
    serial_text,
)
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import Purpose, Role, Scope, Subject
from cloud.store.connection import Database, Pool
from vitals.wire.invitation import EnrolmentCode, new_code
from vitals.wire.topics import is_agent_name

_log = structlog.get_logger()
SUPERSEDED = "enrolled again"


def subject_of_agent(agent: EnrolledAgent) -> Subject:
    """Who an agent is where it asks about people: only about those of its organisation."""
    return Subject(
        person=f"agent:{agent.agent}",
        role=Role.CLIENT,
        organisation=agent.organisation_id,
        scopes=frozenset({Scope.READ_PATIENTS, Scope.EDIT_PATIENTS}),
        purpose=Purpose.CARE,
    )


def make_code(
    connection: Database, subject: Subject, wish: Admission, *, authority: Authority, now: datetime
) -> MadeCode:
    """A code that lets in one agent of a site once; an earlier one for the same agent opens no longer.

    Raises:
        NotAllowed, AgentNameInvalid, SiteUnknown, AgentNameTaken.
    """
    if Scope.MANAGE_DEVICES not in subject.scopes:
        raise NotAllowed
    if not is_agent_name(wish.agent):
        raise AgentNameInvalid
    site_id = queries.find_site(connection, subject, wish.site_id)
    if site_id is None:
        raise SiteUnknown
    if queries.agent_is_elsewhere(connection, wish.agent, site_id=site_id):
        raise AgentNameTaken
    made = MadeCode(
        code=new_code(fingerprint(authority.certificate)),
        agent=wish.agent,
        site_id=site_id,
        made_by=subject.person,
        made_at=now,
        expires_at=now + CODE_LASTS,
    )
    queries.insert_code(connection, made)
    return made


def write_list(connection: Database, authority: Authority, keys: Path, *, now: datetime) -> None:
    """Write the list of revoked certificates beside the keys; a later list never holds less."""
    with connection.transaction():
        queries.lock_list(connection)
        revoked = queries.list_revoked(connection, now=now)
        number = queries.next_list_number(connection)
        write_public(keys / REVOKED, pem(build_crl(authority, revoked, number=number, now=now)))


class EnrolmentService:
    """Use cases of device trust; safe to call from several threads."""

    def __init__(
        self, pool: Pool, *, authority: Authority, keys: Path, recorder: Recorder, clock: Clock
    ) -> None:
        self.authority = authority
        self._pool = pool
        self._keys = keys
        self._recorder = recorder
        self._clock = clock
        self._failures = FailureCount()
        self._lock = threading.Lock()

    def invite(self, subject: Subject, wish: Admission) -> MadeCode:
        """Make a code; see `make_code`."""
        with self._pool.connection() as connection, connection.transaction():
            made = make_code(connection, subject, wish, authority=self.authority, now=self._clock())
            self._recorder.begin(_act(subject, Action.INVITE_AGENT, wish.agent))()
        return made

    def enrol(self, code: EnrolmentCode, request: bytes, *, caller: str) -> tuple[str, x509.Certificate]:
        """Use up a code; returns the agent's name and certificate. What it had before holds no longer.

        Raises:
            EnrolmentThrottled, CodeRefused: nothing is told about which codes exist.
            RequestInvalid: the code is not used up.
        """
        requested_key(request)
        now = self._clock()
        with self._counted(caller, now=now), self._pool.connection() as connection, connection.transaction():
            let_in = queries.use_code(connection, hash_code(code), now=now)
            if let_in is not None and queries.agent_is_elsewhere(
                connection, let_in.agent, site_id=let_in.site_id
            ):
                let_in = None  # another organisation was faster with this name
            if let_in is None:
                raise CodeRefused
            queries.upsert_agent(connection, let_in)
            replaced = queries.revoke_certificates(
                connection, let_in.agent, by="system", reason=SUPERSEDED, now=now
            )
            certificate = self._issue(connection, let_in, request, occasion=Occasion.ENROLMENT)
            self._recorder.begin(_act_of_agent(let_in, Action.ENROL_AGENT))()
        if replaced:
            self.publish_list()
        _log.info("agent_enrolled", agent=let_in.agent)
        return let_in.agent, certificate

    def renew(self, shown: bytes, request: bytes) -> tuple[str, x509.Certificate]:
        """A further certificate for the agent that shows a good one; returns the agent's name too.

        Whether it is good is asked while nobody can revoke it: else a renewal in flight would outlive that.

        Raises:
            CertificateRefused, RequestInvalid.
        """
        own = self._read_own(shown)
        requested_key(request)
        with self._pool.connection() as connection, connection.transaction():
            queries.lock_agent(connection, self._find_holder(connection, own).agent)
            agent = self._find_holder(connection, own)
            certificate = self._issue(connection, agent, request, occasion=Occasion.RENEWAL)
            self._recorder.begin(_act_of_agent(agent, Action.RENEW_AGENT))()
        _log.info("agent_renewed", agent=agent.agent)
        return agent.agent, certificate

    def revoke(self, subject: Subject, agent: str, *, reason: str) -> None:
        """Put an agent out: HTTPS refuses it from now on, brokers as soon as they have the new list.

        Codes for it that wait open no longer. They go first: an enrolment locks its code, then the agent.

        Raises:
            NotAllowed, AgentUnknown.
        """
        if Scope.MANAGE_DEVICES not in subject.scopes:
            raise NotAllowed
        with self._pool.connection() as connection, connection.transaction():
            found = queries.find_agent(connection, subject, agent)
            if found is None:
                raise AgentUnknown
            queries.delete_open_codes(connection, found)
            queries.lock_agent(connection, agent)
            queries.revoke_certificates(
                connection, agent, by=subject.person, reason=reason, now=self._clock()
            )
            self._recorder.begin(_act(subject, Action.REVOKE_AGENT, agent))()
        self.publish_list()
        _log.info("agent_revoked", agent=agent)

    def list_agents(self, subject: Subject) -> list[ListedAgent]:
        """The agents of the asker's organisation.

        Raises:
            NotAllowed.
        """
        if Scope.MANAGE_DEVICES not in subject.scopes:
            raise NotAllowed
        with self._pool.connection() as connection:
            return queries.list_agents(connection, subject)

    def holder_of(self, der: bytes) -> EnrolledAgent:
        """Whose certificate it is that a connection showed; the register is asked every time.

        Raises:
            CertificateRefused: it is none of ours, revoked, or over.
        """
        certificate = self._read_own(der)
        with self._pool.connection() as connection:
            return self._find_holder(connection, certificate)

    def people_of(self, agent: EnrolledAgent, *, known: str | None) -> tuple[str, list[BoundPerson] | None]:
        """Who wears the agent's sensors, and a mark of that; None instead of the list when it is `known`.

        Raises:
            AuditUnavailable: nobody could take note, so nothing is told.
        """
        subject = subject_of_agent(agent)
        with self._pool.connection() as connection:
            found = queries.list_bound_people(connection, subject, agent.agent, now=self._clock())
        people = [person for _, person in found]
        mark = hashlib.sha256(repr(people).encode()).hexdigest()
        if mark == known:
            return mark, None
        patients = dict.fromkeys(patient for patient, _ in found)
        acts = [
            subject.act(Action.READ_CONTEXT, target(TargetKind.PATIENT, patient), origin=Origin.HTTP)
            for patient in patients
        ]
        if acts:
            self._recorder.begin(*acts)()
        return mark, people

    def put_out_since(self, since: datetime) -> dict[str, datetime]:
        """The agents that were revoked since then and were not let in again, and when that was."""
        with self._pool.connection() as connection:
            return queries.list_put_out(connection, since=since, now=self._clock())

    def stand_in_context(self, agent: str) -> ssl.SSLContext:
        """With what the cloud takes the place of a revoked agent at the broker; the key is kept nowhere."""
        key = new_key()
        certificate = issue_stand_in(self.authority, key.public_key(), agent=agent, now=self._clock())
        return context_of(key_pem(key) + pem(certificate), authority=pem(self.authority.certificate))

    def publish_list(self) -> None:
        """Write the list of revoked certificates for the broker."""
        with self._pool.connection() as connection:
            write_list(connection, self.authority, self._keys, now=self._clock())

    def revocation_list(self) -> bytes:
        """The list as it was written last, in PEM."""
        return (self._keys / REVOKED).read_bytes()

    def _read_own(self, der: bytes) -> x509.Certificate:
        try:
            certificate = x509.load_der_x509_certificate(der)
            certificate.verify_directly_issued_by(self.authority.certificate)
        except Exception as error:  # a certificate from outside: cryptography raises by what is wrong with it
            raise CertificateRefused from error
        return certificate

    def _find_holder(self, connection: Database, certificate: x509.Certificate) -> EnrolledAgent:
        serial = serial_text(certificate.serial_number)
        holder = queries.find_holder(connection, serial, now=self._clock())
        if holder is None or holder.agent != identity_of(certificate):
            raise CertificateRefused
        return holder

    def _issue(
        self, connection: Database, agent: EnrolledAgent, request: bytes, *, occasion: Occasion
    ) -> x509.Certificate:
        now = self._clock()
        certificate = issue_agent(self.authority, request, agent=agent.agent, now=now)
        issued = IssuedCertificate(
            serial=serial_text(certificate.serial_number),
            agent=agent.agent,
            occasion=occasion,
            issued_at=now,
            expires_at=certificate.not_valid_after_utc,
        )
        queries.insert_certificate(connection, issued)
        return certificate

    @contextmanager
    def _counted(self, caller: str, *, now: datetime) -> Iterator[None]:
        """Count a failure before the try, for many at once must not all pass; what was none is taken back."""
        with self._lock:
            if self._failures.is_too_many(caller, now=now):
                raise EnrolmentThrottled
            self._failures.note(caller, now=now)
        was_wrong = False
        try:
            yield
        except CodeRefused:
            was_wrong = True
            on = target(TargetKind.AGENT, "unknown")
            self._recorder.note(
                act_of_nobody(Action.ENROL_AGENT, on, outcome=Outcome.REFUSED, origin=Origin.HTTP)
            )
            _log.warning("enrolment_refused")
            raise
        finally:
            if not was_wrong:
                with self._lock:
                    self._failures.take_back(caller, now=now)


def _act(subject: Subject, action: Action, agent: str) -> Act:
    return subject.act(action, target(TargetKind.AGENT, agent), origin=Origin.HTTP)


def _act_of_agent(agent: EnrolledAgent, action: Action) -> Act:
    return _act(subject_of_agent(agent), action, agent.agent)
