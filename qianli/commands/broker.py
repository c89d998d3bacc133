"""Run the embedded broker in the foreground."""

import argparse
import asyncio
import os
import sys

from qianli.embedded.broker import serve_broker
from qianli.embedded.trust import open_broker_files
from qianli.home import home_from_environment, prepare_home
from qianli.ports import parse_port
from vitals.errors import QianliError

HELP = "run the embedded MQTT broker (amqtt, MQTT 3.1.1 over TLS, loopback only)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    port = os.environ.get("QIANLI_MQTT_PORT", "1883")
    parser.add_argument(
        "--port", type=parse_port, default=port, help="port on 127.0.0.1 (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    home = home_from_environment()
    prepare_home(home)
    try:
        files = open_broker_files(home)
    except QianliError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"MQTT over TLS 127.0.0.1:{arguments.port}, certificates in {home.keys}", flush=True)
    asyncio.run(serve_broker(files, port=arguments.port, renew=lambda: open_broker_files(home).pair))
    return 0
