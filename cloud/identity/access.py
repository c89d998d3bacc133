"""Who may use a route: declared beside it, read by what enforces it and by the test that walks every route.

An `Access` is put among a route's dependencies, where it does nothing but mark the route.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto

from fastapi.params import Depends

from cloud.identity.model import SCOPES_BY_ROLE, Role, Scope


class People(Enum):
    """What a route does about people whom the asker has no right to see."""

    NONE = auto()  # it tells of nobody
    SEEN = auto()  # it names one person; whoever may not be seen is answered like one who does not exist
    SEEN_OWN = auto()  # the same, and only of the own organisation
    HIDDEN = auto()  # it names something of an organisation; what is not of the own one does not exist
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
    """The declaration of one route. `or_scope` opens it as well as all of `scopes`.

    `needs_step_up`: the session must have shown a second proof a short time ago.
    """

    is_public: bool = False
    scopes: frozenset[Scope] = frozenset()
    or_scope: Scope | None = None
    people: People = People.NONE
    needs_step_up: bool = False  # a fresh proof, at most five minutes old
    is_for_enrolment: bool = False  # also open to an account that must set up its second factor first

    async def __call__(self) -> None:
        """Being a dependency that does nothing."""

    def allows(self, scopes: AbstractSet[Scope]) -> bool:
        """Whether these scopes open the route."""
        return self.scopes <= scopes or self.or_scope in scopes

    def answer_to(
        self, role: Role | None, *, is_own: bool, may_see: bool, is_stepped_up: bool = False
    ) -> Answer:
        """What somebody is told: `role` None is nobody.

        `is_own` says whether the person asked about is of the asker's organisation, `may_see` whether the
        asker has a right to see this person; in a role without any such right nobody has.
        """
        if self.is_public:
            return Answer.GIVEN
        if role is None:
            return Answer.LOG_IN_FIRST
        if not self.allows(SCOPES_BY_ROLE[role]):
            return Answer.NOT_ALLOWED
        if self.needs_step_up and not is_stepped_up:
            return Answer.STEP_UP_FIRST
        is_there = {
            People.SEEN: may_see,
            People.SEEN_OWN: may_see and is_own,
            People.HIDDEN: is_own,
        }.get(self.people, True)
        return Answer.GIVEN if is_there else Answer.NOT_THERE


PUBLIC = Access(is_public=True)
LOGGED_IN = Access()
BEFORE_ENROLMENT = Access(is_for_enrolment=True)
CHANGES_PROOFS = Access(is_for_enrolment=True, needs_step_up=True)
READS_ACCOUNTS = Access(scopes=frozenset({Scope.MANAGE_ACCOUNTS}), people=People.LEFT_OUT)
CHANGES_ONE_ACCOUNT = Access(
    scopes=frozenset({Scope.MANAGE_ACCOUNTS}), people=People.HIDDEN, needs_step_up=True
)
CHANGES_OWN_PASSWORD = Access(needs_step_up=True)
ADDS_CLIENTS = Access(scopes=frozenset({Scope.MANAGE_ACCOUNTS}), needs_step_up=True)
READS_ONE_PATIENT = Access(scopes=frozenset({Scope.READ_PATIENTS}), people=People.SEEN)
VIEWS_ONE_PATIENT = Access(
    scopes=frozenset({Scope.READ_PATIENTS}), or_scope=Scope.READ_OWN, people=People.SEEN
)
FINDS_PATIENTS = Access(scopes=frozenset({Scope.READ_PATIENTS}), people=People.LEFT_OUT)
EDITS_ONE_PATIENT = Access(scopes=frozenset({Scope.READ_PATIENTS, Scope.EDIT_PATIENTS}), people=People.SEEN)
# Who lets somebody else see a person for long shows first who it is.
GIVES_SIGHT_OF_ONE_PATIENT = Access(scopes=EDITS_ONE_PATIENT.scopes, people=People.SEEN, needs_step_up=True)
TAKES_WHOLE_RECORD = Access(scopes=READS_ONE_PATIENT.scopes, people=People.SEEN_OWN, needs_step_up=True)
READS_ONE_OF_OURS = Access(scopes=READS_ONE_PATIENT.scopes, people=People.SEEN_OWN)
EDITS_ONE_OF_OURS = Access(scopes=EDITS_ONE_PATIENT.scopes, people=People.SEEN_OWN)
REGISTERS_PATIENTS = Access(scopes=EDITS_ONE_PATIENT.scopes, people=People.LEFT_OUT)
# A place, a member of staff and an account beyond one's reach are answered like ones that do not exist, too.
LISTS_PLACES = Access(scopes=frozenset({Scope.READ_PLACES}), people=People.LEFT_OUT)
READS_ONE_PLACE = Access(scopes=LISTS_PLACES.scopes, people=People.HIDDEN)
MANAGES_ONE_PLACE = Access(scopes=frozenset({Scope.MANAGE_PLACES}), people=People.HIDDEN)
# What lets staff see people, or sign for them.
GIVES_SIGHT_BY_PLACE = Access(scopes=MANAGES_ONE_PLACE.scopes, people=People.HIDDEN, needs_step_up=True)
MANAGES_ONE_ACCOUNT = Access(scopes=frozenset({Scope.MANAGE_ACCOUNTS}), people=People.HIDDEN)
FINDS_DEVICES = Access(scopes=frozenset({Scope.READ_SYSTEM}), people=People.LEFT_OUT)
EDITS_ONE_DEVICE = Access(scopes=EDITS_ONE_PATIENT.scopes, people=People.HIDDEN)
WATCHES_PATIENTS = Access(people=People.LEFT_OUT)
MANAGES_DEVICES = Access(scopes=frozenset({Scope.MANAGE_DEVICES}))
MANAGES_ONE_DEVICE = Access(scopes=MANAGES_DEVICES.scopes, people=People.HIDDEN)
BREAKS_GLASS = Access(scopes=frozenset({Scope.BREAK_GLASS}), people=People.HIDDEN, needs_step_up=True)
BREAKS_GLASS_BY_NUMBER = Access(
    scopes=frozenset({Scope.BREAK_GLASS}), people=People.LEFT_OUT, needs_step_up=True
)
READS_OWN = Access(scopes=frozenset({Scope.READ_OWN}), people=People.LEFT_OUT)
OWNS_ONE_PATIENT = Access(scopes=frozenset({Scope.READ_OWN}), people=People.SEEN)
REVIEWS_ACCESS = Access(scopes=frozenset({Scope.REVIEW_ACCESS}), people=People.LEFT_OUT)
REVIEWS_ONE_ACCESS = Access(scopes=frozenset({Scope.REVIEW_ACCESS}), people=People.HIDDEN)
READS_AUDIT = Access(scopes=frozenset({Scope.READ_AUDIT}), people=People.LEFT_OUT)


def access_of(route: object) -> Access | None:
    """The declaration of a route, if it has one."""
    dependencies: list[Depends] = getattr(route, "dependencies", [])
    found = (entry.dependency for entry in dependencies if isinstance(entry.dependency, Access))
    return next(found, None)
