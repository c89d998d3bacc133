"""`qianli fleet SCENARIO`: simulated agents by the thousand against a broker, with one JSON line a second.

With `--authority` the command makes a certificate for each agent with the key of an installation's authority:
for tests, never for a broker that serves patients. Other identities are not supported: no agent of the
fleet enrols with a code.
"""

import argparse
import asyncio
import json
import signal
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cloud.broker.stand_in import context_of
from cloud.enrolment.authority.certificates import issue_agent, key_pem, pem
from cloud.enrolment.authority.files import AUTHORITY, open_authority
from edge_agent.identity import new_request
from qianli.fleet.errors import OptionInvalid
from qianli.fleet.fleet import Fleet, Plan
from qianli.fleet.link import parse_broker
from qianli.fleet.scenario import find_scenario, read_scenario

HELP = (
    "Simulate thousands of edge agents against a broker. One JSON line a second, a summary at the end; "
    "exit code 1 if something was not stored in time."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("scenario", help="TOML file, or `county`; see docs/operations.md")
    parser.add_argument(
        "--broker", required=True, help="mqtt://user:password@host:port, or mqtts://host:port"
    )
    parser.add_argument(
        "--authority", type=Path, metavar="KEYS", help="for mqtts: QIANLI_HOME/keys, for tests only"
    )
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="run every n-th agent only")
    parser.add_argument(
        "--duration", type=float, metavar="S", help="measure for so long (else as the scenario says)"
    )
    parser.add_argument(
        "--drain", type=float, default=60.0, metavar="S", help="wait so long until all is stored"
    )
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between two lines")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="write sums of all that was measured")


def run(arguments: argparse.Namespace) -> int:
    """Run until the time is over. A first signal ends the measuring, a second everything."""
    scenario = read_scenario(find_scenario(arguments.scenario))
    identify = None if arguments.authority is None else certifier(arguments.authority)
    address = parse_broker(arguments.broker, context_of=identify)
    plan = Plan(
        shard=parse_shard(arguments.shard),
        duration_s=arguments.duration,
        drain_s=arguments.drain,
        tell_every_s=arguments.every,
    )

    async def work() -> bool:
        fleet = Fleet(scenario, address, plan=plan)
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 # we are in one

        def stop() -> None:
            if fleet.is_ended:
                task.cancel()
            fleet.end()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        try:
            return await fleet.run(_tell)
        finally:
            if arguments.ledger is not None:
                fleet.books.ledger.write(arguments.ledger)

    try:
        return 0 if asyncio.run(work()) else 1
    except asyncio.CancelledError:
        return 130


def parse_shard(text: str) -> tuple[int, int]:
    """`2/4` is the second of four.

    Raises:
        OptionInvalid.
    """
    first, _, of = text.partition("/")
    if not (first.isdecimal() and of.isdecimal() and 1 <= int(first) <= int(of)):
        raise OptionInvalid("--shard", f"expected I/N with 1 ≤ I ≤ N, not {text!r}")
    return int(first), int(of)


def certifier(keys: Path) -> Callable[[str], ssl.SSLContext]:
    """What gives an agent its certificate from the authority in a folder.

    Raises:
        OptionInvalid: there is none.
        CloudError: it cannot be used.
    """
    if not (keys / AUTHORITY).exists():
        raise OptionInvalid("--authority", f"there is no {AUTHORITY} in {keys}")
    authority = open_authority(keys, now=datetime.now(UTC))

    def context(agent: str) -> ssl.SSLContext:
        request = new_request()
        certificate = issue_agent(authority, request.pem.encode(), agent=agent, now=datetime.now(UTC))
        return context_of(key_pem(request.key) + pem(certificate), authority=pem(authority.certificate))

    return context


def _tell(line: Mapping[str, object]) -> None:
    print(json.dumps(line), flush=True)
