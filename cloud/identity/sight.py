"""By which right somebody sees a person, and how much of it. Pure; the rights are SQL (migration 0005).

Each kind of content has a class; each right reaches up to a class; what lies above it is not shown or masked.
How long a content is kept hangs on its class too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class DataClass(StrEnum):
    """How much harm it does in the wrong hands, from little to much."""

    GENERAL = "general"
    SENSITIVE = "sensitive"
    HIGHLY_SENSITIVE = "highly_sensitive"

    def reaches(self, other: "DataClass") -> bool:
        """Whether a right up to this class covers the other one."""
        order = list(DataClass)
        return order.index(self) >= order.index(other)


class Content(StrEnum):
    """Kinds of what is kept about a person."""

    VITALS = "vitals"
    ALARMS = "alarms"
    BED = "bed"
    NAME = "name"
    BIRTH_DATE = "birth_date"
    IDENTITY_NUMBER = "identity_number"
    CONTACT = "contact"
    ADDRESS = "address"
    REPORT = "report"
    IMAGE = "image"
    GENETIC = "genetic"
    INFECTIOUS = "infectious"  # HIV, hepatitis, tuberculosis, syphilis
    MENTAL_HEALTH = "mental_health"
    REPRODUCTIVE = "reproductive"
    SUBSTANCE_USE = "substance_use"


CLASS_OF_CONTENT = {
    Content.VITALS: DataClass.GENERAL,
    Content.ALARMS: DataClass.GENERAL,
    Content.BED: DataClass.GENERAL,
    Content.NAME: DataClass.SENSITIVE,
    Content.BIRTH_DATE: DataClass.SENSITIVE,
    Content.IDENTITY_NUMBER: DataClass.SENSITIVE,
    Content.CONTACT: DataClass.SENSITIVE,
    Content.ADDRESS: DataClass.SENSITIVE,
    Content.REPORT: DataClass.SENSITIVE,
    Content.IMAGE: DataClass.SENSITIVE,
    Content.GENETIC: DataClass.HIGHLY_SENSITIVE,
    Content.INFECTIOUS: DataClass.HIGHLY_SENSITIVE,
    Content.MENTAL_HEALTH: DataClass.HIGHLY_SENSITIVE,
    Content.REPRODUCTIVE: DataClass.HIGHLY_SENSITIVE,
    Content.SUBSTANCE_USE: DataClass.HIGHLY_SENSITIVE,
}


class Basis(StrEnum):
    """By which right; the first that holds is the one that is written down."""

    SYSTEM = "system"
    SELF = "self"
    FAMILY = "family"
    CARE = "care"
    DUTY = "duty"
    ENCOUNTER = "encounter"
    REFERRAL = "referral"
    CONSULTATION = "consultation"
    TRIP = "trip"
    CONSENT = "consent"
    BREAK_GLASS = "break_glass"


# By which rights somebody may let others see for long. None of them is taken alone or ends by itself, as an
# emergency does, an encounter (a number was typed) or a referral.
LASTING = frozenset({Basis.SELF, Basis.FAMILY, Basis.CARE, Basis.DUTY})
# By which rights somebody may say who two records are, which changes who sees them.
BUT_EMERGENCIES = frozenset(Basis) - {Basis.BREAK_GLASS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """That somebody may see a person."""

    basis: Basis
    up_to: DataClass

    def shows(self, content: Content) -> bool:
        """Whether a kind of content may be shown as it is."""
        return self.up_to.reaches(CLASS_OF_CONTENT[content])


def join_rights(rights: Iterable[tuple[str, str]]) -> Sight | None:
    """All rights of one subject to one person (basis, class) as one: the first basis, the widest class."""
    bases: list[Basis] = []
    classes: list[DataClass] = []
    for basis, data_class in rights:
        bases.append(Basis(basis))
        classes.append(DataClass(data_class))
    if not bases:
        return None
    return Sight(basis=min(bases, key=list(Basis).index), up_to=max(classes, key=list(DataClass).index))


def mask_name(name: str) -> str:
    """The first character stays: 张三丰 is 张**, Zhang San is Z***."""
    return name[:1] + "*" * min(len(name) - 1, 3) if name else ""


def shown_name(name: str, sight: Sight | None) -> str:
    """A name as somebody may read it; whoever has no right reads the first character."""
    return name if sight is not None and sight.shows(Content.NAME) else mask_name(name)


def shown_number(display: str, sight: Sight | None) -> str:
    """A number whose middle is hidden already, or nothing of it at all."""
    return display if sight is not None and sight.shows(Content.IDENTITY_NUMBER) else "*" * 4
