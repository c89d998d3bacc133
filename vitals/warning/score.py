"""What a score is: a frozen declaration and one pure, total function; and the finder of all scores.

A missing input is never a zero. Without it the total is None and two bounds say where it can lie, so that no
reader takes a part for the whole.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache

import vitals.warning.scores
from vitals.observation import VitalKey
from vitals.warning.errors import ScoreUnknown
from vitals.warning.score_input import ScoreInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePart:
    """What one input adds to the total.

    `value` is the value at chart resolution that was scored. `points` is None while they are not known, which
    can be so for a given value too, if its points depend on a missing input; they then lie between
    `points_min` and `points_max`.
    """

    input: str
    value: float | str | None
    points: int | None
    points_min: int
    points_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """A score with its parts, its bounds and its risk.

    `total`, `single_3`, `risk` and `monitoring` are None unless every part is known; the bounds are always
    set and equal `total` and `risk` then. `missing` names what must be given to complete the score.
    """

    parts: tuple[ScorePart, ...]
    missing: tuple[str, ...]
    total: int | None
    total_min: int
    total_max: int
    single_3: bool | None
    risk: str | None
    risk_min: str
    risk_max: str
    monitoring: str | None

    @property
    def is_complete(self) -> bool:
        """Whether every part is known."""
        return self.total is not None

    def build_answer(self) -> dict[str, object]:
        """The plain fields of one answer line of `qianli score`."""
        answer: dict[str, object] = {
            "sub": {part.input: part.points for part in self.parts},
            "complete": self.is_complete,
            "total": self.total,
        }
        names = (
            ("single_3", "risk", "monitoring")
            if self.is_complete
            else ("total_min", "total_max", "risk_min", "risk_max")
        )
        answer |= {name: getattr(self, name) for name in names}
        return answer | {"parts": [asdict(part) for part in self.parts], "missing": list(self.missing)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The declaration in each file of `vitals/warning/scores/`.

    `compute` is pure and total: for every mapping it returns a result or raises `ScoreInputInvalid`.
    `input_keys` says which vital signs may feed an input, best first, in the vocabulary's unit; an empty
    tuple means that only a person can state it.
    """

    name: str
    title_en: str
    title_zh: str
    source: str
    limits: str
    inputs: tuple[ScoreInput, ...]
    input_keys: Mapping[str, tuple[VitalKey, ...]]
    compute: Callable[[Mapping[str, object]], ScoreResult]


@cache
def score_by_name() -> dict[str, Score]:
    """Every declared score, by its name.

    Raises:
        ValueError: two files declare the same name.
    """
    found: dict[str, Score] = {}
    for entry in pkgutil.iter_modules(vitals.warning.scores.__path__):
        score: Score = importlib.import_module(f"vitals.warning.scores.{entry.name}").SCORE
        if score.name in found:
            msg = f"score name {score.name!r} is declared twice; second time in {entry.name}.py"
            raise ValueError(msg)
        found[score.name] = score
    return found


def find_score(name: str) -> Score:
    """The score of that name.

    Raises:
        ScoreUnknown: with the names that exist.
    """
    scores = score_by_name()
    if name not in scores:
        raise ScoreUnknown(name, known=tuple(sorted(scores)))
    return scores[name]
