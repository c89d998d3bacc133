"""Start everything on this machine and keep it running until Ctrl-C."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from qianli.console import Console
from qianli.errors import StartRefused
from qianli.home import empty_home, hold_home, home_from_environment, prepare_home
from qianli.installation import Installation, Wishes
from qianli.ports import parse_host, parse_port
from qianli.supervisor import stop_leftovers

HELP = "start database, broker, cloud and edge agent on this machine and keep them running"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    port = os.environ.get("QIANLI_HTTP_PORT", "8000")
    parser.add_argument(
        "--demo", action="store_true", help="with virtual devices that replay real recordings"
    )
    parser.add_argument(
        "--ward",
        type=Path,
        help="JSON file of patients and their devices (docs/operations.md), without --demo",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="delete this installation's data first, without asking"
    )
    parser.add_argument(
        "--host",
        type=parse_host,
        nargs="?",
        const="",
        default=os.environ.get("QIANLI_HTTPS_HOST"),
        metavar="ADDRESS",
        help="also serve other machines and phones, by HTTPS, on this address (all if none is given)",
    )
    parser.add_argument(
        "--port", type=parse_port, default=port, help="port of the pages on 127.0.0.1 (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP; zero after a clean stop."""
    console = Console()
    home = home_from_environment()
    ward = arguments.ward.absolute() if arguments.ward else None
    wishes = Wishes(demo=arguments.demo, ward=ward, http_port=arguments.port, host=arguments.host)
    try:
        prepare_home(home)
        with hold_home(home):
            if stop_leftovers(str(home.path)):
                console.say(
                    "清理了上次异常退出留下的进程", "stopped processes that a crashed run had left behind"
                )
            installation = Installation(home, wishes, console)
            if arguments.fresh:
                installation.clear_database_server()
                empty_home(home)
                console.say(f"已清空 {home.path}", f"emptied {home.path}")
            return asyncio.run(_run_until_signal(installation))
    except StartRefused as refusal:
        console.refuse(refusal)
        return 1
    except KeyboardInterrupt:
        return 0


async def _run_until_signal(installation: Installation) -> int:
    main = asyncio.current_task()
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped and main is not None:
            stopped = True
            main.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    try:
        await installation.start()
        await installation.watch()
    except asyncio.CancelledError:
        if not stopped:
            raise
    finally:
        sys.stdout.flush()
        await installation.stop()
    return 0
