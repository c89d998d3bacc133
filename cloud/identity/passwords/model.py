"""What a password and a login name may be. Pure.

Length counts, not a mixture of signs (NIST SP 800-63B, section 5.1.1.2): long ones that people can keep in
mind, none that everybody tries first.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cloud.identity.errors import ChoiceRefused

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1000
FEWEST_SIGNS = 5
RESET_LASTS = timedelta(hours=24)
_LOGIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,39}")
_TRIED_FIRST = re.compile(
    r"(password|passw0rd|qwerty|asdfgh|zxcvbn|1q2w3e|1qaz2wsx|woaini|iloveyou|admin|welcome|letmein|qianli|abc|"
    r"[0-9])*[!.@#*]*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A code with which somebody may choose a new password."""

    code: str = field(repr=False)
    ends_at: datetime


def check_password(password: str, *, name: str) -> None:
    """Whether an account of this name may have this password.

    Raises:
        ChoiceRefused: it may not.
    """
    lowered = password.lower()
    if len(password) < SHORTEST_PASSWORD:
        raise ChoiceRefused("password", f"at least {SHORTEST_PASSWORD} characters are needed")
    if len(password) > LONGEST_PASSWORD:
        raise ChoiceRefused("password", f"at most {LONGEST_PASSWORD} characters are kept")
    if name.strip().lower() in lowered:
        raise ChoiceRefused("password", "it holds the login name")
    if len(set(lowered)) < FEWEST_SIGNS or _TRIED_FIRST.fullmatch(lowered):
        raise ChoiceRefused("password", "it is among those that are tried first")


def check_login_name(name: str) -> str:
    """A login name as it is stored.

    Raises:
        ChoiceRefused: it cannot be one.
    """
    stored = name.strip().lower()
    if not _LOGIN_NAME.fullmatch(stored):
        raise ChoiceRefused(
            "name", "3 to 40 letters, digits, dots, hyphens, beginning with a letter or digit"
        )
    return stored
