import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qianli.__main__ import main
from vitals.warning.score import score_by_name

CASES_PATH = Path(__file__).parents[1] / "recordings" / "ews" / "score_cases.jsonl"
COMMAND = [sys.executable, "-m", "qianli", "score"]
WELL = (
    '{"rr": 16, "spo2": 98, "spo2_scale": 1, "oxygen": "air", '
    '"sbp": 120, "pulse": 70, "acvpu": "A", "temp": 37.0}'
)


@pytest.fixture
def run_score(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(text: str | bytes, *arguments: str) -> tuple[int, list[Any], list[Any]]:
        stdin = io.BytesIO(text if isinstance(text, bytes) else text.encode())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
        code = main(["score", *arguments])
        captured = capsys.readouterr()
        answers, errors = (
            [json.loads(line) for line in stream.splitlines()] for stream in (captured.out, captured.err)
        )
        return code, answers, errors

    return run


@pytest.mark.slow
def test_command_answers_every_recorded_case() -> None:
    cases = [json.loads(line) for line in CASES_PATH.read_text(encoding="utf-8").splitlines()]
    done = subprocess.run(
        COMMAND, input=CASES_PATH.read_bytes(), capture_output=True, check=False, timeout=30
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(answer["id"], answer["score"]) for answer in answers] == [
        (case["id"], case["score"]) for case in cases
    ]
    for answer, case in zip(answers, cases, strict=True):
        assert {key: answer[key] for key in case["expected"]} == case["expected"]
        assert {"parts", "missing"} <= answer.keys() or "error" in answer
    refused = [json.loads(line)["id"] for line in done.stderr.splitlines()]
    assert refused == [case["id"] for case in cases if "error" in case["expected"]]
    assert done.returncode == 1


@pytest.mark.slow
def test_each_answer_comes_before_the_next_request_is_sent() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(2):
            process.stdin.write(f'{{"id": {number}, "score": "NEWS2", "inputs": {WELL}}}\n')
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(timeout=30) == 0


@pytest.mark.slow
def test_bad_lines_are_told_on_stderr_and_the_others_answered() -> None:
    good = f'{{"id": "b", "score": "NEWS2", "inputs": {WELL}}}'
    lines = "\n".join(["nonsense", good, '{"id": "c", "score": "X", "inputs": {}}'])
    done = subprocess.run(COMMAND, input=lines.encode(), capture_output=True, check=False, timeout=30)
    assert done.returncode == 1
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["b"]
    errors = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(error["line"], error["id"]) for error in errors] == [(1, None), (3, "c")]


KNOWN = ", ".join(sorted(score_by_name()))
NEWS2_WITH = '{"id": 7, "score": "NEWS2", "inputs": '


@pytest.mark.parametrize(
    ("line", "request_id", "field", "reason"),
    [
        ("[1]", None, None, "must be a JSON object {id, score, inputs}"),
        ('{"id": true}', None, None, "id must be a string, an integer or null"),
        ('{"id": NaN}', None, None, "id must be a string, an integer or null"),
        ('{"id": "a", "inputs": {}}', "a", "score", "score must be a string"),
        ('{"id": 7, "score": "NEWS2"}', 7, "inputs", "inputs must be a JSON object"),
        (NEWS2_WITH + "[1]}", 7, "inputs", "inputs must be a JSON object"),
        ('{"id": 7, "score": "N", "inputs": {}}', 7, "score", f"no score named 'N'; known: {KNOWN}"),
        (NEWS2_WITH + '{"rr": NaN}}', 7, "rr", "input 'rr' must be a finite number"),
        (NEWS2_WITH + '{"spo2": 101}}', 7, "spo2", "input 'spo2' must not be above 100 %"),
        (NEWS2_WITH + '{"rr": 1, "rr": 2}}', None, None, "not JSON: name 'rr' is repeated"),
    ],
)
def test_refusal_names_line_id_field_and_reason(
    run_score: Any, line: str, request_id: object, field: object, reason: str
) -> None:
    code, answers, errors = run_score(f"\n{line}\n")
    assert (code, answers) == (1, [])
    assert errors == [{"line": 2, "id": request_id, "field": field, "reason": reason}]


def test_item_out_of_range_is_answered_and_told_as_an_error_too(run_score: Any) -> None:
    code, answers, errors = run_score('{"id": "x", "score": "NIHSS", "inputs": {"gaze": 3}}')
    reason = "input 'gaze' must be one of 0, 1, 2 or null"
    error = "item out of range"
    assert answers == [{"id": "x", "score": "NIHSS", "error": error, "field": "gaze", "reason": reason}]
    assert errors == [{"line": 1, "id": "x", "field": "gaze", "reason": reason}]
    assert code == 1


def test_misspelt_input_is_an_error_and_not_a_missing_one(run_score: Any) -> None:
    code, answers, errors = run_score('{"id": 1, "score": "NEWS2", "inputs": {"puls": 70}}')
    assert (code, answers) == (1, [])
    assert errors[0]["field"] == "puls"
    assert "pulse" in errors[0]["reason"]


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe", b"{", b"[" * 100_000, b'{"id": ' + b"9" * 5000 + b"}"],
    ids=["not utf-8", "cut short", "too deep", "too long a number"],
)
def test_line_that_cannot_be_read_is_an_error_line_and_no_crash(run_score: Any, line: bytes) -> None:
    code, answers, errors = run_score(line)
    assert (code, answers) == (1, [])
    assert errors[0]["reason"].startswith("not JSON: ")


def test_id_is_echoed_unchanged_and_may_be_absent(run_score: Any) -> None:
    lines = '\ufeff{"id": "床一", "score": "NEWS2", "inputs": {}}\r\n\r\n{"score": "NEWS2", "inputs": {}}\r\n'
    code, answers, errors = run_score(lines)
    assert (code, errors) == (0, [])
    assert [answer["id"] for answer in answers] == ["床一", None]


def test_no_input_at_all_is_no_error(run_score: Any) -> None:
    assert run_score("") == (0, [], [])


def test_list_names_the_scores_and_their_inputs(run_score: Any) -> None:
    code, scores, errors = run_score("", "--list")
    assert (code, errors) == (0, [])
    assert [score["name"] for score in scores] == list(score_by_name())
    news2 = next(score for score in scores if score["name"] == "NEWS2")
    inputs = {entry["name"]: entry for entry in news2["inputs"]}
    assert list(inputs) == list(json.loads(WELL))
    assert inputs["oxygen"] == {"name": "oxygen", "choices": ["air", "oxygen"], "keys": []}
    assert inputs["spo2"] == {
        "name": "spo2", "unit": "%", "low": 0, "high": 100, "resolution": 1.0, "keys": ["spo2"],
    }  # fmt: skip


def test_list_tells_findings_items_and_what_may_be_left_out(run_score: Any) -> None:
    _, scores, _ = run_score("", "--list")
    inputs = {(score["name"], entry["name"]): entry for score in scores for entry in score["inputs"]}
    assert inputs["CPSS", "arm_drift"] == {"name": "arm_drift", "choices": [True, False], "keys": []}
    assert inputs["GCS", "e"]["choices"] == [1, 2, 3, 4, "NT"]
    assert inputs["SIRS", "paco2_mmhg"]["optional"] is True
    assert "optional" not in inputs["SIRS", "rr"]
