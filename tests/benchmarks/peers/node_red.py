"""Node-RED with `pg`: `mqtt in`, then a function node that inserts. npm puts it into a cache folder."""

import json
import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("node-red@4", "pg@8")
POOL = 10
INSERT = """
const key = Object.keys(msg.payload.m)[0];
global.get('pool').query(
    'INSERT INTO sample VALUES ($1, $2, to_timestamp($3 / 1000.0), $4)',
    [msg.payload.src, key, msg.payload.t0 + msg.payload.dt[0], msg.payload.m[key][0]]
).then(() => node.done(), error => node.error(error));
"""


class NodeRedMissing(Exception):
    """It cannot be had here; the text says why."""


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "qianli-benchmarks" / "node-red"


def install() -> Path:
    """The folder with `node_modules`; the first time npm fetches them.

    Raises:
        NodeRedMissing: no Node.js, or npm failed.
    """
    folder = cache_folder()
    if (folder / "node_modules" / "node-red" / "red.js").exists() and (
        folder / "node_modules" / "pg"
    ).exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise NodeRedMissing("there is no npm here")
    folder.mkdir(parents=True, exist_ok=True)
    words = [npm, "install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]
    result = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    if result.returncode != 0:
        raise NodeRedMissing(result.stderr.strip()[-400:])
    return folder


def version() -> str:
    manifest = install() / "node_modules" / "node-red" / "package.json"
    return json.loads(manifest.read_text())["version"]


def command(user_folder: Path, *, mqtt_port: int, http_port: int, database: dict[str, str]) -> list[str]:
    """Write the flow and the settings into `user_folder`; returns what starts it."""
    installed = install()
    user_folder.mkdir(parents=True, exist_ok=True)
    pool = json.dumps({**database, "max": POOL})
    (user_folder / "settings.js").write_text(
        f"const {{ Pool }} = require({json.dumps(str(installed / 'node_modules' / 'pg'))});\n"
        f"module.exports = {{ uiPort: {http_port}, uiHost: '127.0.0.1', flowFile: 'flows.json', "
        f"httpAdminRoot: false, credentialSecret: false, telemetry: {{ enabled: false }}, "
        f"functionGlobalContext: {{ pool: new Pool({pool}) }} }};\n"
    )
    (user_folder / "flows.json").write_text(json.dumps(_flow(mqtt_port)))
    node = shutil.which("node")
    assert node is not None
    red = installed / "node_modules" / "node-red" / "red.js"
    return [node, str(red), "-u", str(user_folder), "-s", str(user_folder / "settings.js")]


def _flow(mqtt_port: int) -> list[dict[str, object]]:
    return [
        {"id": "tab", "type": "tab", "label": "ingest"},
        {
            "id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(mqtt_port),
            "clientid": "node-red", "autoConnect": True, "usetls": False, "protocolVersion": "4",
            "keepalive": "60", "cleansession": False,
        },
        {
            "id": "in", "type": "mqtt in", "z": "tab", "topic": "q/v1/+/+/vitals", "qos": "1",
            "datatype": "json", "broker": "broker", "inputs": 0, "wires": [["insert"]],
        },
        {
            "id": "insert", "type": "function", "z": "tab", "func": INSERT, "outputs": 1, "timeout": 0,
            "initialize": "", "finalize": "", "libs": [], "wires": [[]],
        },
    ]  # fmt: skip
