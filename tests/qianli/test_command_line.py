"""What every subcommand has in common."""

import signal
import subprocess
import sys

CASE = '{"id": 1, "score": "NEWS2", "inputs": {}}\n'


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "qianli", "score"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdin is not None
    assert command.stdout is not None
    command.stdin.write(CASE)
    command.stdin.flush()
    assert command.stdout.readline().startswith('{"id": 1')

    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=20) == 130
    assert command.communicate()[1] == ""
