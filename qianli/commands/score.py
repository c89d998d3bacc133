"""`qianli score`: each JSON line on stdin is one request, each JSON line on stdout its answer.

A request that cannot be answered gives one JSON line on stderr; the others are still answered. An item with
a number that its scale does not have gives both: the scale itself answers so (`error` instead of a total),
and the line on stderr and the exit code say that nothing was scored.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vitals.errors import QianliError
from vitals.warning.errors import ScoreError, ScoreInputInvalid, ScoreItemOutOfRange
from vitals.warning.score import Score, find_score, score_by_name
from vitals.warning.score_input import ChoiceInput, FlagInput, ItemInput, NumberInput, ScoreInput

HELP = (
    "Compute early-warning scores: reads lines {id, score, inputs} as JSON, answers each with one JSON line. "
    "A missing input gives bounds, never a plain total."
)
ITEM_OUT_OF_RANGE = "item out of range"

RequestId = str | int | None


class RequestInvalid(QianliError):
    """One line cannot be scored. `answer` is what it is told nevertheless, if anything."""

    def __init__(
        self,
        reason: str,
        *,
        request_id: RequestId = None,
        field: str | None = None,
        answer: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(reason, request_id, field)
        self.reason = reason
        self.request_id = request_id
        self.field = field
        self.answer = answer

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """One line of input."""

    request_id: RequestId
    score: str
    inputs: Mapping[str, object]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--list", action="store_true", help="name the scores and their inputs, as JSON lines")
    parser.add_argument("--table", action="store_true", help="the table of docs/early-warning.md")


def run(arguments: argparse.Namespace) -> int:
    """Answer every line of stdin; 1 if any of them could not be answered."""
    if arguments.list:
        for score in score_by_name().values():
            print(json.dumps(_describe_score(score)))
        return 0
    if arguments.table:
        print(build_table(score_by_name().values()))
        return 0
    code = 0
    for number, line in enumerate(sys.stdin.buffer, start=1):
        if not line.strip():
            continue
        try:
            answer = answer_line(line)
        except RequestInvalid as error:
            code = 1
            if error.answer is not None:
                print(json.dumps(error.answer), flush=True)
            report = {"line": number, "id": error.request_id, "field": error.field, "reason": str(error)}
            print(json.dumps(report), file=sys.stderr, flush=True)
        else:
            print(json.dumps(answer), flush=True)  # at once: somebody may be waiting at the other end
    return code


def answer_line(line: bytes) -> dict[str, object]:
    """The answer to one request line.

    Raises:
        RequestInvalid: not such a request, no such score, or an input outside the score's domain.
    """
    request = parse_request(line)
    head: dict[str, object] = {"id": request.request_id, "score": request.score}
    try:
        result = find_score(request.score).compute(request.inputs)
    except ScoreError as error:
        field = error.field if isinstance(error, ScoreInputInvalid) else "score"
        answer = None
        if isinstance(error, ScoreItemOutOfRange):
            answer = head | {"error": ITEM_OUT_OF_RANGE, "field": field, "reason": str(error)}
        raise RequestInvalid(str(error), request_id=request.request_id, field=field, answer=answer) from error
    return head | result.build_answer()


def build_table(scores: Iterable[Score]) -> str:
    """The scores as a table in Markdown; an input in brackets may be left out."""
    rows = ["| score | inputs | says | source; limits |", "|---|---|---|---|"]
    for score in scores:
        inputs = ", ".join(_tell_input(entry) for entry in score.inputs)
        knowing_nothing = score.compute({})
        total = [knowing_nothing.total_name] if knowing_nothing.total_name else []
        says = ", ".join(f"`{name}`" for name in total + [found.name for found in knowing_nothing.outcomes])
        names = f"`{score.name}` {score.title_en} {score.title_zh}"
        rows.append(f"| {names} | {inputs} | {says} | {score.source}. {score.limits} |")
    return "\n".join(rows)


def parse_request(line: bytes) -> ScoreRequest:
    """Read one request line; keys beside `id`, `score` and `inputs` are notes of the sender.

    Raises:
        RequestInvalid: with what is wrong.
    """
    try:
        request = json.loads(line.decode("utf-8-sig"), object_pairs_hook=_refuse_repeated_names)
    except (ValueError, RecursionError) as error:  # a huge integer or a bad byte is a plain ValueError
        msg = f"not JSON: {error}"
        raise RequestInvalid(msg) from error
    if not isinstance(request, dict):
        raise RequestInvalid("must be a JSON object {id, score, inputs}")
    request_id = request.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise RequestInvalid("id must be a string, an integer or null")
    score = request.get("score")
    if not isinstance(score, str):
        raise RequestInvalid("score must be a string", request_id=request_id, field="score")
    inputs = request.get("inputs")
    if not isinstance(inputs, dict):
        raise RequestInvalid("inputs must be a JSON object", request_id=request_id, field="inputs")
    return ScoreRequest(request_id=request_id, score=score, inputs=inputs)


def _refuse_repeated_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Two values under one name: JSON readers keep one of them by chance."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            msg = f"name {name!r} is repeated"
            raise ValueError(msg)
        found[name] = value
    return found


def _describe_score(score: Score) -> dict[str, object]:
    return {
        "name": score.name,
        "title_en": score.title_en,
        "title_zh": score.title_zh,
        "source": score.source,
        "limits": score.limits,
        "inputs": [_describe_input(entry) for entry in score.inputs],
    }


def _tell_input(entry: ScoreInput) -> str:
    match entry:
        case NumberInput():
            told = f"`{entry.name}` {entry.unit}"
        case FlagInput():
            told = f"`{entry.name}`"
        case ItemInput():
            untestable = "" if entry.untestable is None else f" or {entry.untestable}"
            told = f"`{entry.name}` {entry.low}-{entry.high}{untestable}"
        case ChoiceInput():
            told = f"`{entry.name}` {'/'.join(str(choice) for choice in entry.choices)}"
    return f"[{told}]" if entry.optional else told


def _describe_input(entry: ScoreInput) -> dict[str, object]:
    described: dict[str, object] = {"name": entry.name}
    if isinstance(entry, NumberInput):
        described |= {
            "unit": entry.unit,
            "low": entry.low,
            "high": entry.high,
            "resolution": float(entry.resolution),
        }
    else:
        described["choices"] = [True, False] if isinstance(entry, FlagInput) else list(entry.choices)
    return described | ({"optional": True} if entry.optional else {}) | {"keys": list(entry.keys)}
