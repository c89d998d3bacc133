"""Getting an account with a code, over HTTP, with the real links of the rights."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cloud.identity.codes import MOST_WRONG_TRIES, hash_code
from cloud.rights.model import Grade, NewLink, Relation
from cloud.rights.queries import insert_link

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

CODE = "ABCDEFGH2345"
BODY = {
    "code": CODE,
    "known": "1956-03-04",
    "name": "Li.Ming",
    "display": "李明",
    "password": "seven green boats",
}
REFUSAL = (401, b'{"error":"code or details are wrong"}')


@pytest.fixture
def invited(clinic):
    """A clinic with a patient, and a code for the patient's own account."""
    clinic.database.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort, "
        "birth_date) VALUES ('p-1', 'own', 'own-site', '', '李明', '', '', '1956-03-04')"
    )
    clinic.numbers["p-1"] = "33010219560304021X"
    invite(clinic)
    return clinic


def invite(clinic, code=CODE, relation=Relation.SELF, grade=Grade.EVERYTHING):
    proof = "birth certificate" if relation is Relation.GUARDIAN else ""
    new = NewLink(relation=relation, patient_id="p-1", grade=grade, proof=proof)
    insert_link(clinic.database, f"link-{code}", new, code_hash=hash_code(code), by="nurse")


def join(clinic, browser=None, **changed):
    return (browser or clinic.browser()).post("/api/join", json=BODY | changed)


def told(answer):
    return answer.status_code, answer.content


def test_patient_gets_an_account_and_is_logged_in(invited):
    browser = invited.browser()
    answer = join(invited, browser)

    assert (answer.status_code, answer.json()["role"], answer.json()["name"]) == (201, "resident", "li.ming")
    person = invited.identity.account_of(browser.cookies["qianli_session"]).person_id
    assert browser.get("/api/me").json()["display_zh"] == "李明"
    row = invited.database.execute("SELECT person_id FROM family_link WHERE relation = 'self'").fetchone()
    assert row == (person,)
    assert [word for word, _ in invited.recorder.words()] == ["create_account", "accept_invitation", "log_in"]
    assert invited.log_in(invited.browser(), "li.ming", BODY["password"]).status_code == 200


@pytest.mark.parametrize("known", ["021x", "19560304"])
def test_code_and_knowledge_may_be_typed_as_people_type(invited, known):
    assert join(invited, code="abcd-efgh 2345", known=known).status_code == 201


@pytest.mark.parametrize("relation", [Relation.GUARDIAN, Relation.FAMILY])
def test_guardian_and_family_join_by_their_codes(invited, relation):
    grade = Grade.NUMBERS if relation is Relation.FAMILY else Grade.EVERYTHING
    invite(invited, "FAMILYFAMILY", relation, grade)
    assert join(invited, code="FAMILYFAMILY").status_code == 201

    row = invited.database.execute(
        "SELECT l.relation, a.role FROM family_link l JOIN account a USING (person_id)"
    ).fetchone()
    assert row == (relation.value, "resident")


SPOILT = {
    "wrong code": ("", {"code": "WRONGWRONGWR"}),
    "wrong birth date": ("", {"known": "1956-03-05"}),
    "nothing known": ("", {"known": ""}),
    "expired": ("UPDATE family_link SET code_ends_at = now()", {}),
    "withdrawn": ("UPDATE family_link SET revoked_at = now(), revoked_by = 'nurse'", {}),
    "used": ("UPDATE family_link SET person_id = 'person-doctor'", {}),
    "link over": ("UPDATE family_link SET during = tstzrange('2020-01-01', '2020-01-02')", {}),
}


@pytest.mark.parametrize(("change", "body"), SPOILT.values(), ids=SPOILT)
def test_every_wrong_attempt_is_answered_alike_and_makes_nothing(invited, change, body):
    if change:
        invited.database.execute(change)
    assert told(join(invited, **body)) == REFUSAL
    assert invited.database.execute("SELECT FROM account WHERE role = 'resident'").fetchone() is None
    assert ("accept_invitation", "refused") in [
        (str(act.action), str(act.outcome)) for act in invited.recorder.acts
    ]


def test_wrong_knowledge_uses_the_code_up_and_the_patient_can_read_of_it(invited):
    for _ in range(MOST_WRONG_TRIES):
        assert told(join(invited, known="1956-01-01")) == REFUSAL

    assert told(join(invited)) == REFUSAL
    (row,) = invited.database.execute("SELECT revoked_by, wrong_tries FROM family_link").fetchall()
    assert row == ("wrong-tries", MOST_WRONG_TRIES)
    assert invited.recorder.words().count(("accept_invitation", "p-1")) == MOST_WRONG_TRIES


def test_one_source_is_throttled(invited):
    statuses = [join(invited, code="WRONGWRONGWR").status_code for _ in range(51)]
    assert statuses == [401] * 50 + [429]


def test_wrong_attempts_are_forgotten_by_nobody_elses_success(invited):
    for _ in range(10):
        join(invited, code="WRONGWRONGWR")
    assert join(invited).status_code == 201
    left = invited.database.execute("SELECT failures FROM sign_in_failure WHERE kind = 'source'")
    assert left.fetchone() == (10,)


def test_taken_name_is_told_only_to_who_has_code_and_knowledge(invited):
    assert told(join(invited, name="doctor", known="1956-01-01")) == REFUSAL
    assert join(invited, name="doctor").status_code == 409
    assert join(invited, name="li.ming").status_code == 201, "the code was not used up"


@pytest.mark.parametrize(
    "body", [{"name": "李"}, {"password": "short"}, {"display": "   "}, {"display": ""}, {"more": 1}]
)
def test_impossible_wish_is_refused_before_the_code_is_looked_at(invited, body):
    assert join(invited, **body).status_code == 422
    assert join(invited, **body, code="WRONGWRONGWR").status_code == 422
    assert join(invited).status_code == 201


def test_of_many_at_once_one_gets_the_account(invited):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: join(invited, name=f"li-{number}").status_code, range(8)))
    assert sorted(answers) == [201] + [401] * 7


def test_no_account_is_made_while_the_audit_is_away(invited):
    invited.recorder.is_away = True
    assert join(invited).status_code == 500  # the whole application says 503
    invited.recorder.is_away = False
    assert join(invited).status_code == 201


def test_session_of_before_ends_for_who_joins(invited):
    browser = invited.browser("doctor")
    token = browser.cookies["qianli_session"]
    join(invited, browser)
    old = invited.browser()
    old.cookies.set("qianli_session", token)
    assert old.get("/api/me").status_code == 401
