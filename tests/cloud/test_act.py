import re
from pathlib import Path

import pytest

from cloud.act import Action, Outcome, TargetKind
from cloud.identity.model import Purpose, Role
from cloud.identity.sight import Basis

WORDS = Path(__file__).parents[2] / "cloud/web/src/i18n/areas/acts.ts"
FAMILIES = {
    "action": Action,
    "target": TargetKind,
    "outcome": Outcome,
    "purpose": Purpose,
    "role": Role,
    "basis": Basis,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_word_of_the_audit_has_a_text_for_people(family):
    told = set(re.findall(rf'"{family}\.(\w+)": \["[^"]+", "[^"]+"\]', WORDS.read_text()))

    assert {word.value for word in FAMILIES[family]} <= told
