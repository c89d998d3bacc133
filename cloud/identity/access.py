"""Who may use a route: declared beside it, read by what enforces it and by the test that walks every route.

An `Access` is put among a route's dependencies, where it does nothing but mark the route.
"""

from dataclasses import dataclass
from enum import Enum, auto

from fastapi.params import Depends

from cloud.identity.model import SCOPES_BY_ROLE, Role, Scope


class People(Enum):
    """What a route does about people of another organisation."""

    NONE = auto()  # it tells of nobody
    HIDDEN = auto()  # it names one person; a stranger's is answered like one who does not exist
    LEFT_OUT = auto()  # it tells of many; those who are not for the subject are left out


class Answer(Enum):
    """How a request is to be answered."""

    GIVEN = auto()
    LOG_IN_FIRST = auto()
    NOT_ALLOWED = auto()
    STEP_UP_FIRST = auto()
    NOT_THERE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The declaration of one route."""

    is_public: bool = False
    scopes: frozenset[Scope] = frozenset()
    people: People = People.NONE
    needs_step_up: bool = False  # a fresh proof, at most five minutes old
    is_for_enrolment: bool = False  # also open to an account that must set up its second factor first

    async def __call__(self) -> None:
        """Being a dependency that does nothing."""

    def answer_to(self, role: Role | None, *, is_own: bool, is_stepped_up: bool = False) -> Answer:
        """What somebody is told: `role` None is nobody, `is_own` says whose organisation the object is of."""
        if self.is_public:
            return Answer.GIVEN
        if role is None:
            return Answer.LOG_IN_FIRST
        if not self.scopes <= SCOPES_BY_ROLE[role]:
            return Answer.NOT_ALLOWED
        if self.needs_step_up and not is_stepped_up:
            return Answer.STEP_UP_FIRST
        if self.people is People.HIDDEN and not is_own:
            return Answer.NOT_THERE
        return Answer.GIVEN


PUBLIC = Access(is_public=True)
LOGGED_IN = Access()
BEFORE_ENROLMENT = Access(is_for_enrolment=True)
CHANGES_PROOFS = Access(is_for_enrolment=True, needs_step_up=True)
READS_ACCOUNTS = Access(scopes=frozenset({Scope.MANAGE_ACCOUNTS}), people=People.LEFT_OUT)
CHANGES_ONE_ACCOUNT = Access(
    scopes=frozenset({Scope.MANAGE_ACCOUNTS}), people=People.HIDDEN, needs_step_up=True
)
ADDS_CLIENTS = Access(scopes=frozenset({Scope.MANAGE_ACCOUNTS}), needs_step_up=True)
READS_ONE_PATIENT = Access(scopes=frozenset({Scope.READ_PATIENTS}), people=People.HIDDEN)
FINDS_PATIENTS = Access(scopes=frozenset({Scope.READ_PATIENTS}), people=People.LEFT_OUT)
EDITS_ONE_PATIENT = Access(scopes=frozenset({Scope.READ_PATIENTS, Scope.EDIT_PATIENTS}), people=People.HIDDEN)
REGISTERS_PATIENTS = Access(scopes=EDITS_ONE_PATIENT.scopes, people=People.LEFT_OUT)
# A place, a member of staff and an account beyond one's reach are answered like ones that do not exist, too.
LISTS_PLACES = Access(scopes=frozenset({Scope.READ_PLACES}), people=People.LEFT_OUT)
READS_ONE_PLACE = Access(scopes=LISTS_PLACES.scopes, people=People.HIDDEN)
MANAGES_ONE_PLACE = Access(scopes=frozenset({Scope.MANAGE_PLACES}), people=People.HIDDEN)
MANAGES_ONE_ACCOUNT = Access(scopes=frozenset({Scope.MANAGE_ACCOUNTS}), people=People.HIDDEN)
FINDS_DEVICES = Access(scopes=frozenset({Scope.READ_SYSTEM}), people=People.LEFT_OUT)
WATCHES_PATIENTS = Access(people=People.LEFT_OUT)
MANAGES_DEVICES = Access(scopes=frozenset({Scope.MANAGE_DEVICES}))
MANAGES_ONE_DEVICE = Access(scopes=MANAGES_DEVICES.scopes, people=People.HIDDEN)


def access_of(route: object) -> Access | None:
    """The declaration of a route, if it has one."""
    dependencies: list[Depends] = getattr(route, "dependencies", [])
    found = (entry.dependency for entry in dependencies if isinstance(entry.dependency, Access))
    return next(found, None)
