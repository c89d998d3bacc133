import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import vitals.warning.scores
from vitals.vocabulary import vital_code
from vitals.warning.errors import ScoreUnknown
from vitals.warning.score import Score, find_score, score_by_name
from vitals.warning.score_input import NumberInput


@pytest.fixture
def extra_score_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    own = list(vitals.warning.scores.__path__)
    monkeypatch.setattr(vitals.warning.scores, "__path__", [*own, str(tmp_path)])
    score_by_name.cache_clear()
    yield tmp_path
    score_by_name.cache_clear()


def test_every_score_file_is_found_under_its_name() -> None:
    files = {entry.name for entry in pkgutil.iter_modules(vitals.warning.scores.__path__)}
    assert len(score_by_name()) == len(files) == 26
    assert find_score("CURB-65").name == "CURB-65"
    assert find_score("NEWS2") is score_by_name()["NEWS2"]


def test_unknown_score_is_told_with_the_known_ones() -> None:
    with pytest.raises(ScoreUnknown) as caught:
        find_score("news2")
    assert (caught.value.name, caught.value.known) == ("news2", tuple(sorted(score_by_name())))
    assert str(caught.value).startswith("no score named 'news2'; known: APGAR, BE-FAST, ")


def test_same_name_in_two_files_is_refused(extra_score_folder: Path) -> None:
    text = "from vitals.warning.scores.news2 import SCORE\n__all__ = ['SCORE']\n"
    (extra_score_folder / "news2_again.py").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"'NEWS2' is declared twice; second time in news2_again\.py"):
        score_by_name()


@pytest.mark.parametrize("score", score_by_name().values(), ids=lambda score: score.name)
def test_score_names_its_source_and_titles(score: Score) -> None:
    assert score.source
    assert score.limits
    assert score.title_en.isascii()
    assert not score.title_zh.isascii()


@pytest.mark.parametrize("score", score_by_name().values(), ids=lambda score: score.name)
def test_each_input_names_known_vitals_in_its_own_unit(score: Score) -> None:
    assert set(score.input_keys) == {entry.name for entry in score.inputs}
    for entry in score.inputs:
        for key in score.input_keys[entry.name]:
            code = vital_code(key)
            assert code is not None, key
            assert code.ucum == (entry.unit if isinstance(entry, NumberInput) else "")


def test_vital_that_several_scores_take_is_the_same_everywhere() -> None:
    by_name: dict[str, set[object]] = {}
    for score in score_by_name().values():
        for entry in score.inputs:
            if entry.name in {"rr", "pulse", "spo2", "dbp", "map", "gcs"} and isinstance(entry, NumberInput):
                by_name.setdefault(entry.name, set()).add(entry)
    assert {name: len(declared) for name, declared in by_name.items()} == dict.fromkeys(by_name, 1)
    assert len(by_name) == 6
