"""The projection against its golden file; `python -m tests.cloud.audit.test_audit_fhir` writes it anew."""

import json
from pathlib import Path

import pytest

from cloud.act import Action, TargetKind
from cloud.audit.fhir import audit_event
from tests.cloud.audit.entries import ACTS, ENTRIES

GOLDEN = Path(__file__).parent / "audit_events.json"


def project():
    return [audit_event(entry) for entry in ENTRIES]


def test_projection_is_what_the_golden_file_says():
    assert project() == json.loads(GOLDEN.read_text("utf-8"))


def test_golden_file_holds_every_action_and_every_kind_of_target():
    assert {act.action for act in ACTS} == set(Action)
    assert {act.target.kind for act in ACTS} == set(TargetKind)


@pytest.mark.parametrize("event", project(), ids=lambda event: event["id"])
def test_event_has_what_fhir_demands(event):
    assert event["resourceType"] == "AuditEvent"
    assert {"type", "recorded", "agent", "source"} <= set(event)
    assert event["recorded"].endswith("Z")
    assert event["action"] in "CRUDE"
    assert event["outcome"] in {"0", "4", "8", "12"}
    assert [agent["requestor"] for agent in event["agent"]] == [True]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(project(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
