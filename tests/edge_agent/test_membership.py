import pytest

from edge_agent import door
from edge_agent.clock import utc_now
from edge_agent.errors import DoorRefused
from edge_agent.identity import IdentityFiles
from edge_agent.membership import Membership
from edge_agent.people_context import PeopleContext
from vitals.wire.invitation import Invitation, new_code


@pytest.fixture
def files(tmp_path):
    made = IdentityFiles(folder=tmp_path)
    invitation = Invitation(code=new_code(bytes(32)), host="127.0.0.1", port=8444)
    made.invitation.write_text(str(invitation), "utf-8")
    return made


@pytest.mark.parametrize(("status", "waits"), [(503, True), (429, True), (403, False)])
def test_code_is_kept_while_the_cloud_cannot_judge_it(files, tmp_path, monkeypatch, status, waits):
    def refuse(*_):
        raise DoorRefused(status, "so it is")

    monkeypatch.setattr(door, "enrol", refuse)
    membership = Membership(files, PeopleContext(tmp_path, keys=tmp_path), clock=utc_now)

    membership._use_invitation()

    assert (files.invitation.exists(), str(status) in membership.problem) == (waits, True)
