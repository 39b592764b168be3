"""A secure one-machine broker: who may do what is what topics.yaml says, asked of the broker."""

import asyncio
import datetime as dt
import json
import shutil
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

import orjson
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from tests.conftest import AREA_PARTITIONS, start_broker
from tests.kafka.asking import (
    CLUSTER_REFUSED,
    GROUP_REFUSED,
    TOPIC_REFUSED,
    TRANSACTION_REFUSED,
    Asker,
    Question,
)
from tests.kafka.outside import Program
from xiaohe.acls import Acl, Operation, Resource
from xiaohe.broker import Broker, BrokerUnavailable
from xiaohe.cli import run
from xiaohe.cluster import ClusterError, apply
from xiaohe.cluster_acls import apply_acls, diff_acls
from xiaohe.gateway.positions.drain import group_of
from xiaohe.local_ca import LocalCa, write_secret
from xiaohe.secure_broker import let_in
from xiaohe.topics import AUDITOR, WORKER, load_topics
from xiaohe.wire.cluster_access import ClusterAccess, Security
from xiaohe.wire.reaching import NotLetIn, reach

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]

MATRIX = load_topics(prefix="matrix.", area_partitions=AREA_PARTITIONS, replication_factor=1)
"""Topics of their own for the matrix, which writes what no worker is to read."""

PEOPLE = sorted(name for name, entry in MATRIX.principals.items() if not entry.superuser)

NAMES = [topic.name for topic in MATRIX]

FOREIGN_GROUP = "somebody-elses"

EVERYTHING = Acl("User:*", Resource.TOPIC, "*", Operation.ALL)

REFUSED_WITHIN_S = 10.0
"""Far more than a refusal takes (half a second), far less than any of aiokafka's own patience."""

ORDERED_S = 30.0
END_S = 60.0

FIRST_ROAD = orjson.loads((ROOT / "data" / "roads.geojson").read_bytes())["features"][0]
LON, LAT = FIRST_ROAD["geometry"]["coordinates"][0]
PLACE = {"lon": LON, "lat": LAT}
MEMBER = {
    "name": "Invented", "team": "none", "post": PLACE,
    "shifts": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
                "start": "00:00", "end": "00:00", "timezone": "UTC"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A secure broker with the topics of the product and those of the matrix."""
    with start_broker(tmp_path_factory.mktemp("secure") / "broker", secure=True) as broker:
        asyncio.run(_set_up(broker))
        yield broker


async def _set_up(broker: Broker) -> None:
    await let_in(broker, load_topics())
    await apply(broker.access(), load_topics(replication_factor=1))
    await apply(broker.access(), MATRIX)
    await apply_acls(broker.access(), MATRIX)


OF_TOPICS: dict[str, tuple[Question, Any]] = {
    "write": (Asker.write, lambda topic, who: who in topic.written_by),
    "read": (Asker.read, lambda topic, who: who in topic.read_by),
    "look": (Asker.look, lambda topic, who: who in (*topic.written_by, *topic.read_by)),
    "empty": (Asker.empty, lambda *_: False),
    "see settings": (Asker.see_settings, lambda *_: False),
    "change settings": (Asker.change_settings, lambda *_: False),
    "add partitions": (Asker.add_partitions, lambda *_: False),
    "make another": (Asker.make_another, lambda *_: False),
    "remove": (Asker.remove, lambda *_: False),
}
"""Every operation on a topic: how it is asked for, and who may by topics.yaml."""


@pytest.mark.parametrize("security", [Security.SASL_SSL, Security.SSL])
@pytest.mark.parametrize("who", PEOPLE)
async def test_each_may_do_on_each_topic_what_the_file_says(
    secure: Broker, who: str, security: Security
) -> None:
    """Every principal, by password and by certificate, tries every operation on every topic: what
    the file allows succeeds, and all else the broker refuses."""
    async with Asker(secure.access(who, security=security)) as asker:
        for operation, (ask, may) in OF_TOPICS.items():
            found = await ask(asker, NAMES)
            wanted = {t.name: 0 if may(t, who) else TOPIC_REFUSED for t in MATRIX}
            assert found == wanted, f"{who}: {operation}"


@pytest.mark.parametrize("who", PEOPLE)
async def test_each_may_join_and_watch_the_groups_that_the_file_gives(
    secure: Broker, who: str
) -> None:
    """One's own group may be joined, a watched one looked at, and no other."""
    own = MATRIX.principals[who].group
    entries = MATRIX.principals.values()
    groups = {_member_of(each.group) for each in entries if each.group} | {FOREIGN_GROUP}
    groups |= {name for each in entries for name in each.watches}
    async with Asker(secure.access(who)) as asker:
        joined, seen = await asker.join(sorted(groups)), await asker.watch(sorted(groups))
    allowed = {name for name, code in joined.items() if code != GROUP_REFUSED}
    assert allowed == {name for name in groups if own and fnmatchcase(name, own)}
    visible = {name for name, code in seen.items() if code != GROUP_REFUSED}
    assert visible == allowed | set(MATRIX.principals[who].watches)


def _member_of(pattern: str) -> str:
    """A group that a pattern of the file names."""
    return pattern.replace("*", "-desk")


@pytest.mark.parametrize("who", PEOPLE)
async def test_nobody_may_do_anything_to_the_cluster(secure: Broker, who: str) -> None:
    """Who writes somewhere may do so without doubling; nobody writes in transactions, sees who may
    do what, or gives rights."""
    writes = any(who in topic.written_by for topic in MATRIX)
    async with Asker(secure.access(who)) as asker:
        assert await asker.write_once() == (0 if writes else CLUSTER_REFUSED)
        assert await asker.write_in_a_transaction() == TRANSACTION_REFUSED
        assert await asker.see_rights() == CLUSTER_REFUSED
        assert await asker.give(EVERYTHING) == CLUSTER_REFUSED


@pytest.mark.parametrize("security", [Security.SASL_SSL, Security.SSL])
async def test_the_administrator_may_do_everything(secure: Broker, security: Security) -> None:
    """The superuser is asked for nothing."""
    async with Asker(secure.access("admin", security=security)) as asker:
        for ask in (Asker.write, Asker.read, Asker.look, Asker.change_settings):
            assert set((await ask(asker, NAMES)).values()) == {0}
        assert await asker.see_rights() == 0


async def test_rights_given_twice_change_nothing_and_what_is_beyond_is_shown(
    secure: Broker,
) -> None:
    """A second time adds nothing; a right beyond the file is shown and taken where asked for, a
    stranger's is shown and left."""
    assert (await apply_acls(secure.access(), MATRIX)).added == ()
    beyond = Acl("User:auditor", Resource.TOPIC, MATRIX.alerts.name, Operation.WRITE)
    foreign = Acl("User:backup", Resource.TOPIC, MATRIX.alerts.name, Operation.READ)
    await _give(secure, beyond, foreign)
    told = await diff_acls(secure.access(), MATRIX)
    assert (told.missing, told.beyond, told.foreign) == ((), (beyond,), (foreign,))
    left = await apply_acls(secure.access(), MATRIX)
    assert (left.removed, left.left.beyond) == ((), (beyond,))
    pruned = await apply_acls(secure.access(), MATRIX, prune=True)
    assert (pruned.removed, pruned.left.beyond, pruned.left.foreign) == ((beyond,), (), (foreign,))
    async with Asker(secure.access("auditor")) as asker:
        assert (await asker.write([MATRIX.alerts.name])) == {MATRIX.alerts.name: TOPIC_REFUSED}


async def _give(broker: Broker, *acls: Acl) -> None:
    """Give rights that the file does not; return when the broker acts upon them."""
    async with Asker(broker.access()) as asker:
        for acl in acls:
            await asker.give(acl)
    missing = set(acls)
    while missing:
        told = await diff_acls(broker.access(), MATRIX)
        missing -= {*told.beyond, *told.foreign}


# --- who is refused is told why, at once


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what does not let anybody in."""
    folder = tmp_path_factory.mktemp("strange")
    write_secret(folder / "wrong.password", b"not-the-password\n")
    LocalCa.at(folder / "other").client("worker")
    return folder


def refused(capsys: pytest.CaptureFixture[str], servers: str | None, *options: object) -> str:
    """Run a command that must fail within seconds; what it says."""
    began_s = time.monotonic()
    command = ["verify", "--bootstrap-servers", str(servers), *map(str, options)]
    assert run(command) == 1
    assert time.monotonic() - began_s < REFUSED_WITHIN_S
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_a_wrong_password_is_told(
    secure: Broker, strange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user, the file and the option that names another; never what the file holds."""
    ca, wrong = secure.data_dir / "keys" / "ca.pem", strange / "wrong.password"
    shown = ("--kafka-ca", ca, "--kafka-user", "worker", "--kafka-password-file", wrong)
    said = refused(capsys, secure.bootstrap_servers, *shown)
    assert "does not know the user 'worker' by this password" in said
    assert str(wrong) in said
    assert "--kafka-password-file" in said
    assert "not-the-password" not in said


def test_a_certificate_of_another_authority_is_told(
    secure: Broker, strange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The broker does not say what it dislikes; the certificate is named."""
    cert, key = strange / "other" / "worker.pem", strange / "other" / "worker-key.pem"
    ca = secure.data_dir / "keys" / "ca.pem"
    shown = ("--kafka-ca", ca, "--kafka-cert", cert, "--kafka-key", key)
    said = refused(capsys, secure.mutual_tls_servers, *shown)
    assert f"does not accept the certificate {cert}" in said
    assert "authority that the broker trusts" in said


def test_a_certificate_that_has_ended_is_told(
    secure: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With when it ended."""
    keys = tmp_path / "keys"
    shutil.copytree(secure.data_dir / "keys", keys)
    old = LocalCa.at(keys).client("old", valid=dt.timedelta(days=-2))
    shown = ("--kafka-ca", keys / "ca.pem", "--kafka-cert", old.cert, "--kafka-key", old.key)
    said = refused(capsys, secure.mutual_tls_servers, *shown)
    assert f"the certificate {old.cert} ended at 20" in said
    assert "have a new one issued" in said


def test_no_certificate_where_one_is_wanted_is_told(
    secure: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the options that show one."""
    ca = secure.data_dir / "keys" / "ca.pem"
    said = refused(capsys, secure.mutual_tls_servers, "--kafka-ca", ca)
    assert "wants a certificate of its clients" in said
    assert "--kafka-cert" in said


def test_a_client_without_tls_is_told(secure: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """On either port, with the option that speaks TLS."""
    for servers in (secure.bootstrap_servers, secure.mutual_tls_servers):
        said = refused(capsys, servers)
        assert "speaks TLS" in said
        assert "--kafka-security" in said


def test_a_broker_that_another_authority_vouches_for_is_not_believed(
    secure: Broker, strange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever stands in for the broker gets no password shown."""
    password = secure.data_dir / "keys" / "worker.password"
    other = strange / "other" / "ca.pem"
    shown = ("--kafka-ca", other, "--kafka-user", "worker", "--kafka-password-file", password)
    said = refused(capsys, secure.bootstrap_servers, *shown)
    assert f"{other} did not issue it" in said
    assert "--kafka-ca" in said


def test_a_principal_without_the_rights_is_told(
    secure: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is let in and may not see what a command reads hears at once which topics, and what
    gives the rights."""
    keys = secure.data_dir / "keys"
    password = keys / "devices.password"
    shown = ("--kafka-ca", keys / "ca.pem", "--kafka-user", "devices")
    said = refused(capsys, secure.bootstrap_servers, *shown, "--kafka-password-file", password)
    assert "lets devices in, and not to alerts, audit, dead-letters" in said
    assert "xiaohe topics apply --acls" in said


def test_tls_where_none_is_spoken_is_told(
    broker: Broker, secure: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plain broker closes the connection: that is said, with what may be the matter."""
    said = refused(
        capsys, broker.bootstrap_servers, "--kafka-ca", secure.data_dir / "keys" / "ca.pem"
    )
    assert "perhaps it does not speak TLS there" in said


# --- what lies there, and what listens


def test_it_listens_on_the_loopback_alone_and_every_key_is_its_owners(secure: Broker) -> None:
    """Three ports, none of them for strangers; every file of keys/ has mode 0600."""
    listening = [
        each.laddr.ip.removeprefix("::ffff:")
        for each in psutil.Process(secure.pid).net_connections()
        if each.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"] * 3
    keys = secure.data_dir / "keys"
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}


def test_what_was_secure_stays_so_and_a_changed_password_counts_from_the_next_start(
    tmp_path: Path,
) -> None:
    """A second start without the word is secure, at the same addresses, with the same keys; a
    plain broker that runs is not taken for one."""
    with start_broker(tmp_path) as plain, pytest.raises(BrokerUnavailable, match="everybody in"):
        Broker.start(plain.data_dir, secure=True)
    with start_broker(tmp_path, secure=True) as first:  # over what the plain one has written
        asyncio.run(let_in(first, load_topics()))
        asyncio.run(reach(first.access(WORKER)))
        before = first.access(WORKER)
    write_secret(tmp_path / "keys" / "worker.password", b"changed-by-hand\n")
    with start_broker(tmp_path) as second:
        assert second.secure
        assert second.bootstrap_servers == first.bootstrap_servers
        with pytest.raises(NotLetIn):
            asyncio.run(reach(before))
        asyncio.run(let_in(second, load_topics()))
        asyncio.run(reach(second.access(WORKER)))


# --- the product on it


class Part:
    """``xiaohe worker`` as a process, and where it was told how to be let in."""

    def __init__(self, access: ClusterAccess, folder: Path) -> None:
        command = [
            sys.executable, "-m", "xiaohe", "worker", "--json", "--instance", "one",
            "--bootstrap-servers", access.bootstrap_servers, "--data-dir", str(folder),
        ]  # fmt: skip
        self.errors = (folder / f"{access.security}.err").open("w+")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.errors, env=access.environment_of_child()
        )

    def __enter__(self) -> Self:
        """Return when it owns every area."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.errors.seek(0)
        assert line, f"it ended; it said:\n{self.errors.read()}"
        assert json.loads(line)["event"] == "owned"
        return self

    def __exit__(self, *_: object) -> None:
        """End it; in order, if it still can."""
        self.process.terminate()
        status = self.process.wait(END_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()
        assert status == 0


class Desk:
    """A command centre: it publishes alerts and hears what becomes of them, as itself."""

    def __init__(self, broker: Broker, security: Security) -> None:
        options = broker.access("command-centre", security=security).client_options()
        self._producer = AIOKafkaProducer(**options, enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(
            "incident-events", **options, group_id=f"command-centre-{security}",
            auto_offset_reset="earliest",
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._producer.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._producer.stop()
        await self._consumer.stop()

    async def ordered(self, area: str, alert_id: str) -> dict[str, Any]:
        """Publish an alert; the event by which a member was ordered."""
        alert = {
            "alert_id": alert_id, "source": "police-110", "category": "dispute",
            "occurred_at": dt.datetime.now(dt.UTC).isoformat(), "position": PLACE,
        }  # fmt: skip
        await self._producer.send_and_wait("alerts", orjson.dumps(alert), area.encode())
        incident = None
        async with asyncio.timeout(ORDERED_S):
            async for record in self._consumer:
                event = orjson.loads(record.value)
                if event["data"].get("alert_id") == alert_id:
                    incident = event["incident_id"]
                if event["incident_id"] == incident and event["type"] == "member.dispatched":
                    return dict(event)
        raise AssertionError("the topic ended")


@pytest.mark.parametrize("security", [Security.SASL_SSL, Security.SSL])
async def test_a_worker_decides_over_either_and_verify_reads_as_the_auditor(
    secure: Broker, security: Security, tmp_path: Path
) -> None:
    """A roster loaded as the loader, an alert sent as the command centre, decided by a worker with
    the worker's rights alone, and accounted for by `verify` with those of reading alone. The second
    of the two takes over from the first, with a reader an area at once."""
    area = f"guarded-{security}".lower()
    roster = tmp_path / "roster.json"
    roster.write_bytes(orjson.dumps([{**MEMBER, "member_id": f"{area}-1", "area_id": area}]))
    loader = secure.access("roster-loader", security=security)
    loaded = await asyncio.to_thread(program, loader, "roster", "load", str(roster))
    assert loaded.returncode == 0, loaded.stderr
    with Part(secure.access(WORKER, security=security), tmp_path) as worker:
        shown = psutil.Process(worker.process.pid)
        said = f"{shown.cmdline()} {shown.environ()}"
        assert (secure.access(WORKER).password() or "") not in said
        async with Desk(secure, security) as desk:
            event = await desk.ordered(area, f"alert-over-{security}")
    assert event["data"]["member_id"] == f"{area}-1"
    auditor = secure.access(AUDITOR, security=security)
    verified = await asyncio.to_thread(program, auditor, "verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["lost"] == 0


def program(access: ClusterAccess, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the program to its end, told by its environment how to be let in."""
    return subprocess.run(
        [sys.executable, "-m", "xiaohe", *command, "--bootstrap-servers", access.bootstrap_servers],
        env=access.environment_of_child(), capture_output=True, text=True, check=False,
        timeout=END_S,
    )  # fmt: skip


def test_the_whole_stack_runs_on_a_secure_broker_of_its_own(secure: Broker, tmp_path: Path) -> None:
    """`xiaohe up --secure`: each part comes as its own principal, sees the topics that it needs,
    and whoever looks from the same folder is let in; no command line holds a password."""
    del secure  # asked for because it skips where no broker can be had
    program = Program("--secure", "--data-dir", tmp_path, "--http", "127.0.0.1:0")
    try:
        ready = program.ready
        with urllib.request.urlopen(f"http://{ready['http']}/readyz") as answer:
            assert json.loads(answer.read())["ready"]
        looked = subprocess.run(
            [sys.executable, "-m", "xiaohe", "status", "--data-dir", tmp_path, "--json"],
            capture_output=True, text=True, check=True, timeout=END_S,
        )  # fmt: skip
        status = json.loads(looked.stdout)
        assert status["unowned"] == [], status
        assert status["open_incidents"] == 0
        asyncio.run(_gateway_joined(tmp_path / "broker"))
        passwords = [path.read_text().strip() for path in tmp_path.rglob("*.password")]
        assert len(passwords) == len(MATRIX.principals)
        lines = [
            " ".join(each.cmdline()) for each in psutil.Process(program.process.pid).children()
        ]
        assert len(lines) == 3, lines
        assert not [line for line in lines if any(secret in line for secret in passwords)]
        told = {child: psutil.Process(pid).environ() for child, pid in _parts(ready)}
        assert {name: env["XIAOHE_KAFKA_USER"] for name, env in told.items()} == {
            "worker": "worker",
            "gateway": "gateway",
        }
    finally:
        ended = program.end()
    assert ended == 0


async def _gateway_joined(folder: Path) -> None:
    """Return when the gateway reads what devices write, in its own group."""
    broker = Broker.attach(folder)
    assert broker is not None
    group = group_of(load_topics())
    admin = AIOKafkaAdminClient(**broker.access().client_options())
    await admin.start()
    try:
        async with asyncio.timeout(END_S):
            while not (await admin.describe_consumer_groups([group]))[0].groups[0][5]:
                pass
    finally:
        await admin.close()


def _parts(ready: dict[str, Any]) -> list[tuple[str, int]]:
    """The parts beside the broker, by their process ids."""
    return [("worker", ready["pids"]["worker"][0]), ("gateway", ready["pids"]["gateway"])]


async def test_a_broker_without_an_authorizer_is_told(broker: Broker) -> None:
    """Rights cannot be given where nobody is asked for them; the setting that asks is named."""
    with pytest.raises(ClusterError, match=r"no authorizer.*authorizer\.class\.name"):
        await apply_acls(broker.bootstrap_servers, MATRIX)
