"""The one place that builds the parts of the cloud and puts them together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cloud.audit.service import AuditReader, load_signing_key
from cloud.audit.stream import AuditStream
from cloud.binding.queries import find_once_sources
from cloud.binding.service import BindingService
from cloud.binding.stream import BindingStream
from cloud.broker.address import CLOUD, COMMANDS, BrokerAddress, parse_mqtt_url
from cloud.broker.stand_in import StandIn
from cloud.commands.service import CommandService
from cloud.commands.stream import CommandStream
from cloud.consent_proofs import ConsentProofs
from cloud.enrolment.authority.files import cloud_pair, open_authority
from cloud.enrolment.service import EnrolmentService, write_list
from cloud.enrolment.stream import EvictionStream, TrustStream
from cloud.events import Clock, Event, PartState
from cloud.identity.accounts import Accounts
from cloud.identity.joining.service import Joining
from cloud.identity.model import SYSTEM, Subject
from cloud.identity.oidc.model import read_providers
from cloud.identity.oidc.service import OidcSignIn
from cloud.identity.passwords.service import Passwords
from cloud.identity.service import IdentityService, SignInRules, utc_now
from cloud.ingest.hearing import Ear
from cloud.kept_waves import open_waves
from cloud.live.service import Hub
from cloud.live.stream import LiveStream, load_hub
from cloud.mailbox import LiveWall, Mailbox
from cloud.people.model import TypedIdentifier
from cloud.people.service import PeopleService, open_sealer
from cloud.pipeline.model import SpoolWatch
from cloud.pipeline.service import PipelineService
from cloud.places.service import PlaceService
from cloud.retention.service import Ports, RetentionService, signed_with
from cloud.retention.stream import Keeping, RetentionStream, read_policy
from cloud.rights.model import TypedNumber
from cloud.rights.service import EncounterBook, InvitationBook, Numbers, RightsService
from cloud.series.stream import CompactionStream
from cloud.settings import CloudSettings
from cloud.shards.model import part_of
from cloud.shards.service import are_all_held
from cloud.signing.service import SigningService, may_sign_by_register
from cloud.silence.service import SilenceService
from cloud.staff.service import StaffService
from cloud.store.connection import Database, Pool, build_pool
from cloud.store.pulse import DatabasePulse
from cloud.tracing.opening import open_tracer
from cloud.tracing.port import Tracer
from cloud.trend.service import TrendService
from cloud.warning.model import score_patient
from cloud.waves.service import Waves
from cloud.waves.stream import Ages, WaveStream
from vitals.identifiers.identifier import IdentifierKind
from vitals.wire.command import Command

# What people carry and keep to themselves; a hospital's number is printed on a bracelet.
_CARRIED = {
    IdentifierKind.RESIDENT_ID,
    IdentifierKind.PASSPORT,
    IdentifierKind.HEALTH_CARD,
    IdentifierKind.INSURANCE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """From the broker to the wall."""

    hub: Hub
    ear: Ear
    pulse: DatabasePulse
    live: LiveStream
    bindings: BindingService
    settling: BindingStream
    mailbox: Mailbox
    parts: Callable[[], tuple[PartState, ...]]
    spools: SpoolWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """What moves stored values on, and removes what is over."""

    keeping: RetentionStream
    compaction: CompactionStream
    waves: WaveStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What the application is made of."""

    pool: Pool
    clock: Clock
    audit: AuditStream
    audit_reader: AuditReader
    identity: IdentityService
    accounts: Accounts
    passwords: Passwords
    joining: Joining
    oidc: OidcSignIn
    watching: Watching
    trends: TrendService
    pipeline: PipelineService
    people: PeopleService
    places: PlaceService
    staff: StaffService
    rights: RightsService
    retention: RetentionService
    timers: Timers
    signing: SigningService
    enrolment: EnrolmentService
    trust: TrustStream
    eviction: EvictionStream | None
    commands: CommandService
    commanding: CommandStream
    agent_address: tuple[str, int]
    tracer: Tracer


def assemble(settings: CloudSettings, connection: Database, *, clock: Clock = utc_now) -> Assembly:
    """Build everything; `connection` is a migrated database to read the beginning from."""
    pool = build_pool(settings.database_url)
    keys = settings.home / "keys"
    signing_key = load_signing_key(keys, may_make=True)
    audit = AuditStream(settings.database_url, signing_key, clock=clock)
    sealer = open_sealer(connection, home=settings.home, suite=settings.signatures)
    rules = SignInRules(second_factor=settings.second_factor)
    identity = IdentityService(pool, sealer=sealer, recorder=audit, clock=clock, rules=rules)
    people = PeopleService(pool, sealer=sealer, encounters=EncounterBook(), recorder=audit, clock=clock)
    reader = AuditReader(pool, recorder=audit)
    watching = _assemble_watching(settings, connection, pool=pool, audit=audit, clock=clock)
    enrolment, renew = _assemble_enrolment(settings, connection, pool=pool, audit=audit, clock=clock)
    tracer = open_tracer(settings.otlp_endpoint, service="qianli-cloud", instance="cloud")
    commanding = _assemble_commands(settings, pool, audit=audit, clock=clock, tracer=tracer)
    providers = read_providers(settings.oidc_file)
    policy = read_policy(settings.retention_file)
    waves = open_waves(settings, lambda: sealer)
    ports = Ports(numbers=people.list_numbers, signed=signed_with(signing_key), waves=waves)
    signing = SigningService(
        sealer=sealer, recorder=audit, clock=clock, suite=settings.signatures, may_sign=may_sign_by_register
    )
    return Assembly(
        pool=pool,
        clock=clock,
        audit=audit,
        audit_reader=reader,
        identity=identity,
        accounts=Accounts(pool, recorder=audit, clock=clock, lock_out=identity.lock_out),
        passwords=Passwords(identity, recorder=audit, clock=clock),
        joining=Joining(identity, invitations=InvitationBook(), numbers_of=_opener(people), recorder=audit),
        oidc=OidcSignIn(identity, providers=providers, sealer=sealer, recorder=audit, clock=clock),
        watching=watching,
        trends=TrendService(pool, waves=waves, recorder=audit, clock=clock),
        pipeline=PipelineService(pool, spools=watching.spools, recorder=audit, clock=clock),
        people=people,
        places=PlaceService(pool, recorder=audit, clock=clock),
        staff=StaffService(pool, sealer=sealer, recorder=audit, clock=clock),
        rights=RightsService(
            pool,
            recorder=audit,
            memory=reader,
            numbers=Numbers(find=_finder(people), of=_opener(people)),
            signer=ConsentProofs(signing),
        ),
        retention=RetentionService(pool, recorder=audit, clock=clock, ports=ports, policy=policy),
        timers=_assemble_timers(settings, pool, waves=waves, audit=audit, clock=clock),
        signing=signing,
        enrolment=enrolment,
        trust=TrustStream(enrolment.publish_list, renew),
        eviction=_assemble_eviction(enrolment, parse_mqtt_url(settings.mqtt_url, keys=keys), clock),
        commands=commanding[0],
        commanding=commanding[1],
        agent_address=(settings.agent_names[0], settings.agent_port),
        tracer=tracer,
    )


def _assemble_enrolment(
    settings: CloudSettings, connection: Database, *, pool: Pool, audit: AuditStream, clock: Clock
) -> tuple[EnrolmentService, Callable[[], None]]:
    """The authority's room, and what keeps the cloud's own certificates current."""
    keys = settings.home / "keys"
    authority = open_authority(keys, now=clock())
    write_list(connection, authority, keys, now=clock())

    def renew() -> None:
        for name in (CLOUD, COMMANDS, *map(part_of, range(settings.ingest_groups))):
            cloud_pair(keys, authority, name=name, now=clock())

    renew()
    return EnrolmentService(pool, authority=authority, keys=keys, recorder=audit, clock=clock), renew


def _assemble_timers(
    settings: CloudSettings, pool: Pool, *, waves: Waves, audit: AuditStream, clock: Clock
) -> Timers:
    """What is done at times of its own."""
    keeping = Keeping(policy=read_policy(settings.retention_file), hour=settings.retention_hour)
    ages = Ages(into_windows=settings.compact_after, into_objects=settings.waves_to_objects_after)
    return Timers(
        keeping=RetentionStream(pool, recorder=audit, clock=clock, keeping=keeping, waves=waves),
        compaction=CompactionStream(pool, after=settings.compact_after, clock=clock),
        waves=WaveStream(pool, waves=waves, ages=ages, clock=clock),
    )


def _assemble_commands(
    settings: CloudSettings, pool: Pool, *, audit: AuditStream, clock: Clock, tracer: Tracer
) -> tuple[CommandService, CommandStream]:
    """Commands come to the broker on a connection of their own."""

    def post(agent: str, command: Command) -> bool:
        return stream.post(agent, command)

    broker = parse_mqtt_url(settings.mqtt_url, keys=settings.home / "keys").as_part(COMMANDS)
    service = CommandService(pool, recorder=audit, clock=clock, post=post, tracer=tracer)
    stream = CommandStream(service, broker, clock=clock)
    return service, stream


def _assemble_eviction(
    enrolment: EnrolmentService, broker: BrokerAddress, clock: Clock
) -> EvictionStream | None:
    """None where the broker knows agents by no certificate."""

    def make_place(agent: str) -> StandIn:
        return StandIn(broker, agent, context=enrolment.stand_in_context(agent), clock=clock)

    if broker.tls is None:
        return None
    return EvictionStream(enrolment.put_out_since, make_place, clock=clock)


def _assemble_watching(
    settings: CloudSettings, connection: Database, *, pool: Pool, audit: AuditStream, clock: Clock
) -> Watching:
    """From the broker to the wall: what arrives, whose it is, and what is missing."""
    silence = SilenceService(pool, clock=clock)
    hub = Hub(judge=score_patient, clock=clock, display_delay_ms=settings.display_delay_ms)
    spools = SpoolWatch()
    silence.load(connection)
    load_hub(hub, connection, clock=clock)

    def take(event: Event) -> None:
        believed = hub.believe(event)
        if believed is not None:
            settling.take(believed)
            silence.watch.take(believed)
            spools.take(believed)
            hub.take(believed)

    mailbox = Mailbox(take)
    wall = LiveWall(hub, mailbox)
    bindings = BindingService(pool, recorder=audit, wall=wall, clock=clock)
    bindings.once_sources |= find_once_sources(connection, SYSTEM)
    settling = BindingStream(bindings, wall)
    broker = parse_mqtt_url(settings.mqtt_url, keys=settings.home / "keys")
    ear = Ear(broker, deliver=mailbox.deliver, clock=clock)
    pulse = DatabasePulse(settings.database_url, is_storing=are_all_held, clock=clock)

    def parts() -> tuple[PartState, ...]:
        return *pulse.states(), ear.state

    return Watching(
        hub=hub,
        ear=ear,
        pulse=pulse,
        live=LiveStream(hub, pool, parts=parts, books=silence, clock=clock),
        bindings=bindings,
        settling=settling,
        mailbox=mailbox,
        parts=parts,
        spools=spools,
    )


def _finder(people: PeopleService) -> Callable[[Database, Subject, TypedNumber], Sequence[str]]:
    def find_by_number(held: Database, subject: Subject, number: TypedNumber) -> Sequence[str]:
        kind = IdentifierKind(number.kind)
        typed = TypedIdentifier(kind=kind, text=number.text, issuer=number.issuer)
        return people.find_everywhere(held, subject, typed)

    return find_by_number


def _opener(people: PeopleService) -> Callable[[Database, Sequence[str]], Sequence[str]]:
    """The numbers by which somebody who joins shows to know the patient."""

    def numbers_of(held: Database, patient_ids: Sequence[str]) -> Sequence[str]:
        listed = people.list_numbers(held, SYSTEM, patient_ids, is_open=True)
        return [number for kind, _, number in listed if kind in _CARRIED]

    return numbers_of
