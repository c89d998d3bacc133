import pytest

from cloud.identity.errors import ChoiceRefused
from cloud.identity.passwords.model import Reset, check_login_name, check_password


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        pytest.param("too short", "at least 10", id="short"),
        pytest.param("x1" * 600, "at most 1000", id="long"),
        pytest.param("the DOCTOR comes", "login name", id="name in it"),
        pytest.param("aaaaaaaabbbb", "tried first", id="few signs"),
        pytest.param("Password2026!", "tried first", id="a word and a year"),
        pytest.param("1234567890", "tried first", id="digits"),
        pytest.param("woaini1314520", "tried first", id="Chinese favourite"),
    ],
)
def test_weak_password_is_refused_with_its_reason(password, reason):
    with pytest.raises(ChoiceRefused, match=reason):
        check_password(password, name="doctor")


@pytest.mark.parametrize("password", ["大漠孤烟直长河落日圆", "seven green boats", "k8#dq2vX!t"])
def test_long_and_unusual_password_is_taken(password):
    assert check_password(password, name="doctor") is None


def test_login_name_is_kept_in_small_letters():
    assert check_login_name(" Li.Ming-3 ") == "li.ming-3"


@pytest.mark.parametrize("name", ["ab", "李明", ".li", "a b c", "x" * 41])
def test_impossible_login_name_is_refused(name):
    with pytest.raises(ChoiceRefused, match=r"^name: "):
        check_login_name(name)


def test_code_of_a_reset_is_not_printed(clock):
    assert "SECRET" not in repr(Reset(code="SECRET", ends_at=clock()))
