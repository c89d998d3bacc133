"""The operations page names every setting that exists, and no other."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from cloud.broker.address import parse_mqtt_url
from cloud.objects.stores.filesystem import BucketStore, open_store
from cloud.service_metrics import tell_ingest, tell_service
from cloud.settings import CloudSettings
from edge_agent.settings import AgentSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
METRICS = yaml.safe_load((ROOT / "docker-compose.metrics.yml").read_text())
SETTING = re.compile(r"QIANLI_[A-Z][A-Z_]+[A-Z]")
PLACES = ("vitals", "devices", "dicom", "edge_agent", "cloud", "qianli")


def settings_in_code() -> set[str]:
    paths = [
        path for place in PLACES for path in (ROOT / place).rglob("*.py") if "node_modules" not in path.parts
    ]
    paths += [
        ROOT / "docker-compose.yml",
        ROOT / "docker-compose.metrics.yml",
        ROOT / "Dockerfile",
        ROOT / "hatch_build.py",
    ]
    named = {name for path in paths for name in SETTING.findall(path.read_text())}
    fields = [*CloudSettings.model_fields, *AgentSettings.model_fields]
    return named | {f"QIANLI_{field.upper()}" for field in fields}


def settings_in_tables() -> set[str]:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `QIANLI_")]
    return {match for row in rows for match in SETTING.findall(row.split("|")[1])}


def test_every_setting_is_described() -> None:
    assert settings_in_code() - settings_in_tables() == set()


def test_every_described_setting_exists() -> None:
    tests_only = {"QIANLI_STRICT", "QIANLI_SCREENSHOTS", "QIANLI_TEST_TIMESCALE_ROOT"}
    assert settings_in_tables() - settings_in_code() - tests_only == set()


def test_services_of_the_compose_file_come_to_the_broker_by_certificate() -> None:
    services = COMPOSE["services"]
    urls = [services[name]["environment"]["QIANLI_MQTT_URL"] for name in ("cloud", "ingest", "edge")]

    assert urls == ["mqtts://127.0.0.1:8883?version=5"] * 3
    for url in urls:
        assert parse_mqtt_url(url, keys=ROOT).tls is not None
    assert "password" not in json.dumps(services["broker"]).lower()


def test_compose_file_gives_the_cloud_an_object_store_on_loopback() -> None:
    services = COMPOSE["services"]
    told = services["cloud"]["environment"]
    place = CloudSettings(
        objects_url=told["QIANLI_OBJECTS_URL"],
        objects_endpoint=told["QIANLI_OBJECTS_ENDPOINT"],
        objects_key=told["QIANLI_OBJECTS_KEY"],
        objects_secret=told["QIANLI_OBJECTS_SECRET"],
    ).objects

    assert isinstance(open_store(place), BucketStore)
    assert urlsplit(place.endpoint).netloc == services["objects"]["command"][1] == "127.0.0.1:9000"
    server = services["objects"]["environment"]
    assert place.key == server["ROOT_ACCESS_KEY"]
    assert all(secret.startswith("${") for secret in (place.secret, server["ROOT_SECRET_KEY"]))


def test_image_has_what_a_bucket_needs() -> None:
    lock = (ROOT / "requirements" / "image.txt").read_text()

    assert "image.txt" in (ROOT / "Dockerfile").read_text()
    assert re.search(r"^s3fs==", lock, re.MULTILINE)


def test_compose_file_names_only_folders_and_volumes_that_exist() -> None:
    mounts = [mount for one in COMPOSE["services"].values() for mount in one.get("volumes", ())]
    sources = {mount.split(":")[0] for mount in mounts}
    folders = {source for source in sources if source.startswith(".")}

    assert folders == {"./deploy/mosquitto"}
    assert (ROOT / "deploy" / "mosquitto" / "follow.sh").exists()
    assert sources - folders - {"/run/dbus"} == set(COMPOSE["volumes"])
    waits = {name for one in COMPOSE["services"].values() for name in one.get("depends_on", ())}
    assert waits <= set(COMPOSE["services"])


def test_metrics_are_read_from_folders_that_exist_and_shown_on_loopback_only() -> None:
    mounts = [mount.split(":")[0] for one in METRICS["services"].values() for mount in one["volumes"]]
    folders = [mount for mount in mounts if mount.startswith(".")]

    assert folders
    assert all(list((ROOT / folder).iterdir()) for folder in folders)
    assert "127.0.0.1" in METRICS["services"]["prometheus"]["command"][1]
    assert METRICS["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_only_the_services_that_need_them_see_the_keys() -> None:
    seeing = {
        name
        for name, service in COMPOSE["services"].items()
        if any(mount.startswith("cloud:") for mount in service.get("volumes", ()))
    }
    assert seeing == {"cloud", "trust"}


def test_the_image_copies_only_what_exists() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = [
        line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    sources = [source for line in copied for source in line]
    assert len(sources) > 10
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_every_metric_that_is_drawn_or_alarmed_on_exists() -> None:
    told = {one.name for one in tell_ingest({}, groups=0)} | {
        one.name for one in tell_service(parts=(), spools=(), viewers=0, now=datetime.now(UTC))
    }
    files = [*(ROOT / "deploy" / "grafana" / "dashboards").iterdir(), ROOT / "deploy/prometheus/alerts.yml"]
    drawn = {name for file in files for name in re.findall(r"qianli_\w+", file.read_text())}

    assert drawn <= told
    assert told <= drawn


def test_prometheus_reads_the_ports_that_the_compose_file_gives() -> None:
    read = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = {
        target for job in read["scrape_configs"] for one in job["static_configs"] for target in one["targets"]
    }
    given = {
        f"127.0.0.1:{service['environment']['QIANLI_METRICS_PORT']}"
        for service in COMPOSE["services"].values()
        if "QIANLI_METRICS_PORT" in service.get("environment", {})
    }
    assert targets == given
