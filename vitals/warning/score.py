"""What a score is: a frozen declaration and one pure, total function; and the finder of all scores."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import vitals.warning.scores
from vitals.observation import VitalKey
from vitals.warning.errors import ScoreUnknown
from vitals.warning.score_input import ScoreInput
from vitals.warning.score_result import ScoreResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The declaration in each file of `vitals/warning/scores/`.

    `compute` is pure and total: for every mapping it returns a result or raises `ScoreInputInvalid`.
    `limits` says for whom and for what it is not, and where sources disagree, which of them is followed.
    """

    name: str
    title_en: str
    title_zh: str
    source: str
    limits: str
    inputs: tuple[ScoreInput, ...]
    compute: Callable[[Mapping[str, object]], ScoreResult]

    @property
    def input_keys(self) -> dict[str, tuple[VitalKey, ...]]:
        """Which vital signs may feed an input, best first, in the vocabulary's unit; by the input's name."""
        return {entry.name: entry.keys for entry in self.inputs}


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
