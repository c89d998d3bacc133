from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cloud.act import Action
from cloud.enrolment.authority.certificates import RequestInvalid, fingerprint, make_authority
from cloud.enrolment.authority.files import REVOKED
from cloud.enrolment.model import (
    Admission,
    AgentNameInvalid,
    AgentNameTaken,
    AgentUnknown,
    CertificateRefused,
    CertificateState,
    CodeRefused,
    EnrolledAgent,
    EnrolmentThrottled,
    SiteUnknown,
)
from cloud.identity.errors import NotAllowed
from edge_agent.identity import new_request
from tests.cloud.enrolment.conftest import ADMIN, DOCTOR, STRANGER
from vitals.wire.invitation import new_code

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

HUT = Admission(agent="hut-1", site_id="north-site")


def request():
    return new_request().pem.encode()


def as_der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def enrol(service, wish=HUT, subject=ADMIN):
    return service.enrol(service.invite(subject, wish).code, request(), caller="10.0.0.1")[1]


def listed_serials(folder):
    return {entry.serial_number for entry in x509.load_pem_x509_crl((folder / REVOKED).read_bytes())}


def test_code_lets_one_agent_in_and_its_certificate_says_who_it_is(room):
    service, _, recorder = room
    certificate = enrol(service)

    assert service.holder_of(as_der(certificate)) == EnrolledAgent(
        agent="hut-1", site_id="north-site", organisation_id="north"
    )
    assert recorder.words() == [
        ("invite_agent", "person-a", "hut-1", "allowed"),
        ("enrol_agent", "agent:hut-1", "hut-1", "allowed"),
    ]


def test_code_opens_once_even_for_many_at_once(room):
    service, _, _ = room
    code = service.invite(ADMIN, HUT).code

    def attempt(number):
        try:
            return service.enrol(code, request(), caller=f"10.0.0.{number}")
        except CodeRefused:
            return None

    with ThreadPoolExecutor(8) as threads:
        let_in = [one for one in threads.map(attempt, range(8)) if one is not None]
    assert len(let_in) == 1


@pytest.mark.parametrize(("minutes", "opens"), [(14, True), (15, False)])
def test_code_opens_for_a_quarter_of_an_hour(room, minutes, opens):
    service, clock, _ = room
    code = service.invite(ADMIN, HUT).code
    clock.now += timedelta(minutes=minutes)

    if opens:
        assert service.enrol(code, request(), caller="10.0.0.1")[0] == "hut-1"
    else:
        with pytest.raises(CodeRefused):
            service.enrol(code, request(), caller="10.0.0.1")


def test_new_code_for_the_same_agent_closes_the_old_one(room):
    service, _, _ = room
    old = service.invite(ADMIN, HUT).code
    service.invite(ADMIN, HUT)

    with pytest.raises(CodeRefused):
        service.enrol(old, request(), caller="10.0.0.1")


def test_database_holds_no_code(room, database):
    service, _, _ = room
    code = service.invite(ADMIN, HUT).code
    row = database.execute("SELECT enrolment_code::text FROM enrolment_code").fetchone()[0]

    assert code.secret not in row
    assert code.secret.encode().hex() not in row


def test_wrong_request_does_not_use_up_the_code(room):
    service, _, _ = room
    code = service.invite(ADMIN, HUT).code
    with pytest.raises(RequestInvalid):
        service.enrol(code, b"no request", caller="10.0.0.1")

    assert service.enrol(code, request(), caller="10.0.0.1")[0] == "hut-1"


def test_guessing_is_stopped_after_five_tries_and_others_are_not(room):
    service, clock, recorder = room
    good = service.invite(ADMIN, HUT).code
    for _ in range(5):
        with pytest.raises(CodeRefused):
            service.enrol(new_code(fingerprint(service.authority.certificate)), request(), caller="10.0.0.9")
    with pytest.raises(EnrolmentThrottled):
        service.enrol(good, request(), caller="10.0.0.9")

    assert ("enrol_agent", "anonymous", "unknown", "refused") in recorder.words()
    assert service.enrol(good, request(), caller="10.0.0.1")[0] == "hut-1"
    clock.now += timedelta(minutes=5)
    with pytest.raises(CodeRefused):
        service.enrol(good, request(), caller="10.0.0.9")


def test_enrolling_again_ends_the_certificate_of_before(room, tmp_path):
    service, _, _ = room
    first = enrol(service)
    second = enrol(service)

    with pytest.raises(CertificateRefused):
        service.holder_of(as_der(first))
    assert service.holder_of(as_der(second)).agent == "hut-1"
    assert listed_serials(tmp_path / "keys") == {first.serial_number}


def test_renewal_gives_a_second_certificate_and_keeps_the_first(room):
    service, _, recorder = room
    first = enrol(service)
    _, second = service.renew(as_der(first), request())

    assert second.serial_number != first.serial_number
    for certificate in (first, second):
        assert service.holder_of(as_der(certificate)).agent == "hut-1"
    assert recorder.words()[-1] == ("renew_agent", "agent:hut-1", "hut-1", "allowed")


def test_revoked_agent_is_refused_at_once_and_listed(room, tmp_path):
    service, _, recorder = room
    certificate = enrol(service)
    service.revoke(ADMIN, "hut-1", reason="stolen")

    with pytest.raises(CertificateRefused):
        service.holder_of(as_der(certificate))
    assert listed_serials(tmp_path / "keys") == {certificate.serial_number}
    assert recorder.words()[-1] == ("revoke_agent", "person-a", "hut-1", "allowed")


def outcome_of(act, *args, **named):
    try:
        return act(*args, **named)
    except CertificateRefused:
        return None


@pytest.mark.parametrize("first", [Action.RENEW_AGENT, Action.REVOKE_AGENT])
def test_renewal_and_revocation_at_once_leave_no_good_certificate(room, first):
    service, _, recorder = room
    shown = as_der(enrol(service))
    acts = {
        Action.RENEW_AGENT: lambda: outcome_of(service.renew, shown, request()),
        Action.REVOKE_AGENT: lambda: service.revoke(ADMIN, "hut-1", reason="stolen"),
    }
    (second,) = acts.keys() - {first}
    with ThreadPoolExecutor(1) as thread:
        begun = []

        def begin_second():
            begun.append(thread.submit(acts[second]))
            wait(begun, timeout=0.3)

        recorder.meanwhile[first] = begin_second
        answers = {first: acts[first](), second: begun[0].result(10)}

    renewed = answers[Action.RENEW_AGENT]
    assert (renewed is None) == (first is Action.REVOKE_AGENT)
    assert [one.certificate.state(service._clock()) for one in service.list_agents(ADMIN)] == [
        CertificateState.REVOKED
    ]


def test_revocation_closes_codes_that_wait_for_the_agent(room):
    service, _, _ = room
    enrol(service)
    waiting = service.invite(ADMIN, HUT).code
    service.revoke(ADMIN, "hut-1", reason="stolen")

    with pytest.raises(CodeRefused):
        service.enrol(waiting, request(), caller="10.0.0.1")
    assert enrol(service) is not None


def test_list_of_agents_tells_what_each_certificate_is_worth(room):
    service, clock, _ = room
    enrol(service)
    enrol(service, Admission(agent="hut-2"))
    service.revoke(ADMIN, "hut-2", reason="lost")
    listed = {one.agent: one.certificate for one in service.list_agents(ADMIN)}

    assert listed["hut-1"].state(clock()) is CertificateState.VALID
    assert listed["hut-2"].state(clock()) is CertificateState.REVOKED
    clock.now += timedelta(days=91)
    assert listed["hut-1"].state(clock()) is CertificateState.EXPIRED


def test_another_organisation_sees_and_revokes_nothing_of_ours(room):
    service, _, _ = room
    certificate = enrol(service)

    assert service.list_agents(STRANGER) == []
    with pytest.raises(AgentUnknown):
        service.revoke(STRANGER, "hut-1", reason="mine")
    with pytest.raises(AgentNameTaken):
        service.invite(STRANGER, Admission(agent="hut-1"))
    with pytest.raises(SiteUnknown):
        service.invite(STRANGER, Admission(agent="hut-5", site_id="north-site"))
    assert service.holder_of(as_der(certificate)).organisation_id == "north"


def test_name_that_two_organisations_invited_goes_to_the_first_that_comes(room):
    service, _, _ = room
    ours = service.invite(ADMIN, HUT).code
    theirs = service.invite(STRANGER, Admission(agent="hut-1")).code
    service.enrol(ours, request(), caller="10.0.0.1")

    with pytest.raises(CodeRefused):
        service.enrol(theirs, request(), caller="10.0.0.2")
    assert service.list_agents(STRANGER) == []


def test_only_who_manages_devices_may(room):
    service, _, _ = room
    for forbidden in (
        lambda: service.invite(DOCTOR, HUT),
        lambda: service.revoke(DOCTOR, "hut-1", reason="no"),
        lambda: service.list_agents(DOCTOR),
    ):
        with pytest.raises(NotAllowed):
            forbidden()


@pytest.mark.parametrize("name", ["", "Hut", "qianli.cloud", "a/b", "+", "x" * 42])
def test_name_that_no_topic_can_hold_is_refused(room, name):
    service, _, _ = room
    with pytest.raises(AgentNameInvalid):
        service.invite(ADMIN, Admission(agent=name))


def test_certificate_that_the_register_does_not_know_is_refused(room):
    service, clock, _ = room
    stranger = make_authority(clock())
    for der in (b"", b"0", as_der(stranger.certificate), as_der(service.authority.certificate)):
        with pytest.raises(CertificateRefused):
            service.holder_of(der)
