"""Run the embedded broker in the foreground."""

import argparse
import asyncio
import os

from qianli.embedded.broker import USER, serve_broker
from qianli.home import broker_password, home_from_environment, prepare_home
from qianli.ports import parse_port

HELP = "run the embedded MQTT broker (amqtt, MQTT 3.1.1, loopback only)"


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
    print(f"MQTT 127.0.0.1:{arguments.port} user {USER}, password in {home.broker_password}", flush=True)
    asyncio.run(serve_broker(port=arguments.port, password=broker_password(home)))
    return 0
