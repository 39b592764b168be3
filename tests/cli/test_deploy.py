"""The container files are valid, pinned, closed to the outside, and agree with the rest."""

import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
OURS = ("topics", "worker", "gateway")
PROXY = "caddy"
PUBLISHED = "${XIAOHE_PUBLISH:-127.0.0.1}:"
"""On this machine alone, unless the variable asks for more."""

SERVICE_KEYS = {
    "image", "build", "command", "environment", "restart", "healthcheck", "volumes", "ports",
    "depends_on", "deploy", "init", "stop_grace_period", "network_mode",
}  # fmt: skip
"""Those of the Compose specification that are used here: a misspelt one is found."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file, its anchors resolved."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    """Its services."""
    return compose["services"]


def test_the_file_is_valid(compose: dict[str, Any]):
    """No misspelt key, names refer to what is declared; Docker, where it is, finds it valid."""
    services = compose["services"]
    assert {key for key in compose if not key.startswith("x-")} == {"name", "services", "volumes"}
    assert set(services) == {*BROKERS, *OURS, PROXY}
    for name, service in services.items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).is_file(), name
        settings = service["environment"]
        assert all(isinstance(value, str) for value in settings.values()), name
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], check=False).returncode == 0:
        file = str(DEPLOY / "compose.yaml")
        subprocess.run([docker, "compose", "-f", file, "config", "--quiet"], check=True)


def test_three_brokers_form_one_cluster(services: dict[str, Any]):
    """Each has its own number, address and volume, and all agree on who votes."""
    settings = [services[name]["environment"] for name in BROKERS]
    voters = ",".join(f"{number}@{name}:9093" for number, name in enumerate(BROKERS, start=1))
    assert {each["KAFKA_CONTROLLER_QUORUM_VOTERS"] for each in settings} == {voters}
    assert [each["KAFKA_NODE_ID"] for each in settings] == ["1", "2", "3"]
    assert [each["KAFKA_ADVERTISED_LISTENERS"] for each in settings] == [
        f"PLAINTEXT://{name}:9092" for name in BROKERS
    ]
    assert [services[name]["volumes"] for name in BROKERS] == [
        [f"{name}:/var/lib/kafka/data"] for name in BROKERS
    ]
    assert len({each["CLUSTER_ID"] for each in settings}) == 1


def test_no_record_has_less_than_three_copies(services: dict[str, Any]):
    """Everything that Kafka replicates has three copies, two of them before an ack."""
    for name in BROKERS:
        settings = services[name]["environment"]
        copies = {key: value for key, value in settings.items() if "REPLICATION_FACTOR" in key}
        in_sync = {key: value for key, value in settings.items() if "MIN_I" in key}
        assert (len(copies), set(copies.values())) == (4, {"3"})
        assert (len(in_sync), set(in_sync.values())) == (3, {"2"})
        assert settings["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == "false"
        assert settings["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    for name in OURS:
        assert services[name]["environment"]["XIAOHE_REPLICATION_FACTOR"] == "3"


def test_the_parts_start_in_order(services: dict[str, Any]):
    """Topics are made when all brokers answer; workers and gateway start when they are made."""
    assert services["topics"]["command"] == ["topics", "apply"]
    assert {*services["topics"]["depends_on"]} == {*BROKERS}
    for name in ("worker", "gateway"):
        assert services[name]["command"][0] == name
        needs = services[name]["depends_on"]["topics"]["condition"]
        assert needs == "service_completed_successfully"
    assert services["worker"]["deploy"]["replicas"] == 2


def test_nothing_listens_to_the_outside(services: dict[str, Any]):
    """Only the gateway's network has ports on the host: on its loopback, unless more is asked."""
    ports = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert list(ports) == ["gateway"]
    assert all(port.startswith(PUBLISHED) for port in ports["gateway"])


def test_the_gateway_is_reached_by_tls_alone(services: dict[str, Any]):
    """It listens on the loopback of a network that only the proxy shares, and takes its word."""
    gateway, proxy = services["gateway"], services[PROXY]
    words = gateway["command"]
    assert words[words.index("--http") + 1] == "127.0.0.1:8080"
    assert words[words.index("--behind-proxy") + 1] == "127.0.0.1"
    assert proxy["network_mode"] == "service:gateway"
    assert {port.rpartition(":")[2] for port in gateway["ports"]} == {"80", "443"}
    assert proxy["image"].partition(":")[2][0].isdigit()


def test_the_proxys_file_leads_to_the_gateway(services: dict[str, Any]):
    """Braces close, nobody's word on where they come from counts; Caddy, where it is, takes it."""
    path = DEPLOY / "caddy" / "Caddyfile"
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    assert sum(line.endswith("{") for line in lines) == lines.count("}")
    assert "reverse_proxy 127.0.0.1:8080 {" in lines
    assert "admin off" in lines
    assert not any("trusted_proxies" in line for line in lines)
    assert "XIAOHE_DOMAIN" in services[PROXY]["environment"]
    assert f"./caddy/{path.name}:/etc/caddy/Caddyfile:ro" in services[PROXY]["volumes"]
    caddy = shutil.which("caddy")
    if caddy is not None:
        check = [caddy, "validate", "--adapter", "caddyfile", "--config", str(path)]
        subprocess.run(check, check=True, env={"XIAOHE_DOMAIN": "localhost"})


def test_images_are_pinned_and_the_kafka_is_the_same_everywhere(services: dict[str, Any]):
    """The cluster runs the Kafka that the one-machine broker runs, and no image is 'latest'."""
    pom = ET.fromstring((DEPLOY / "broker" / "pom.xml").read_bytes())
    kafka = pom.findtext(".//{*}kafka.version")
    assert {services[name]["image"] for name in BROKERS} == {f"apache/kafka:{kafka}"}
    [base] = [line for line in _dockerfile() if line.startswith("FROM ")]
    assert base.partition(":")[2].startswith("3.11.")


def test_the_image_holds_what_there_is_and_runs_as_nobody_special():
    """Every path that the Dockerfile copies exists, and its program is not run by root."""
    copied = [line.split()[1:-1] for line in _dockerfile() if line.startswith("COPY ")]
    missing = [path for paths in copied for path in paths if not (ROOT / path).exists()]
    assert missing == []
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"deploy", "tests"}
    assert rooms <= {path for paths in copied for path in paths}
    user = [line for line in _dockerfile() if line.startswith("USER ")]
    assert user == ["USER xiaohe"]


def _dockerfile() -> list[str]:
    return (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
