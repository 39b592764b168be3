"""The broker on one machine: a real Apache Kafka, one node, as a plain Java process.

Its data folder holds everything: ``log/`` (Kafka's own), ``broker.json`` (the process and its
port, which a restart keeps so that clients find it again), ``broker.log`` and ``broker.out``
(what Kafka and what Java said), and the settings it was started with. One folder has one broker.

A broker may be killed at any time: what it has acknowledged has been written, and it starts again
on the same folder. It listens on the loopback only. A plain one asks nobody who they are; a secure
one lets in whom ``keys/`` has a password or a certificate for, over TLS, and refuses what no rule
allows. What has once been secure stays so.
"""

import base64
import errno
import os
import shutil
import signal
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec
import psutil

from xiaohe.bound import start_bound, start_free
from xiaohe.broker_keys import BrokerKeys
from xiaohe.java import (
    OTHER_BROKER,
    BrokerUnavailable,
    Jars,
    broker_jars,
    find_java,
    locked,
    tail_of,
)
from xiaohe.loopback import HOST, answers, free_port, is_free
from xiaohe.topics import ADMIN, load_topics
from xiaohe.wire.cluster_access import ClusterAccess, Security

__all__ = ["Broker", "BrokerStatus", "BrokerUnavailable"]

SETTINGS_DIR = Path(__file__).parent / "deploy" / "broker"

PORT_ATTEMPTS = 5
"""Somebody else may take a port between our look and Kafka's; five times in a row nobody does."""

JVM_FLAGS = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",  # starts sooner than G1, and leaves the second core to the worker
    "-XX:+ExitOnOutOfMemoryError",  # a broker that limps is worse than one that is started again
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dlog4j2.configurationFile=log4j2.yaml",
    "-Dxiaohe.logs=.",
)

DISK_FREE_BYTES_MIN = 100 * 2**20
"""Kafka's own files for the project's topics, and room to say what went wrong."""

READY_TIMEOUT_S = 60.0
"""From start to the first answer; 2 s on a quiet machine, far more on a busy or slow one."""

STOP_TIMEOUT_S = 20.0
"""How long an orderly end may take before the broker is killed; 0.5 s is usual."""

LOOK_AGAIN_S = 0.02


class BrokerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the broker of a data folder."""

    data_dir: str
    running: bool
    answering: bool = False
    pid: int | None = None
    bootstrap_servers: str | None = None
    kafka_version: str | None = None
    secure: bool = False
    mutual_tls_servers: str | None = None


class _Record(msgspec.Struct):
    """``broker.json``. The ports stay when the process ends.

    ``port`` is that of PLAINTEXT, or of SASL_SSL where it is ``secure``; then ``mutual_tls_port``
    is that of clients with certificates.
    """

    port: int
    controller_port: int
    kafka_version: str
    pid: int | None = None
    secure: bool = False
    mutual_tls_port: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def mutual_tls_servers(self) -> str | None:
        return f"{HOST}:{self.mutual_tls_port}" if self.secure else None

    @property
    def listeners(self) -> str:
        clients = f"PLAINTEXT://{self.bootstrap_servers}"
        if self.secure:
            clients = f"SASL_SSL://{self.bootstrap_servers},SSL://{self.mutual_tls_servers}"
        return f"{clients},CONTROLLER://{HOST}:{self.controller_port}"


class Broker:
    """One running broker: made by ``start``, ended by ``stop`` or by leaving a ``with`` block."""

    def __init__(
        self,
        data_dir: Path,
        record: _Record,
        *,
        child: subprocess.Popen[bytes] | None,
    ) -> None:
        """Not to be called from outside: ``start`` and ``attach`` make brokers."""
        assert record.pid is not None
        self.data_dir = data_dir
        self.pid: int = record.pid
        self.bootstrap_servers = record.bootstrap_servers
        self.mutual_tls_servers = record.mutual_tls_servers
        self.secure = record.secure
        self.kafka_version = record.kafka_version
        self._child = child

    @property
    def started_here(self) -> bool:
        """False if ``start`` found the folder's broker running already."""
        return self._child is not None

    @classmethod
    def start(
        cls,
        data_dir: Path | str,
        *,
        bound_to_parent: bool = False,
        port: int | None = None,
        secure: bool = False,
        ready_timeout_s: float = READY_TIMEOUT_S,
        say: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Start the broker of ``data_dir`` and return when it answers.

        If it runs already, that one is returned (``started_here`` is False). With
        ``bound_to_parent`` it is killed as soon as this process ends, whatever ends it; without,
        it goes on. ``port`` asks for a port; without, it is the last one if that is free, else any
        free one. With ``secure`` it lets nobody in unnamed, as it does ever after; the rights
        and passwords of others than the administrator are given by ``xiaohe.secure_broker``.
        ``say`` is told in a line when something takes long. Raises BrokerUnavailable, and
        LocalCaError where its keys cannot be made.
        """
        folder = _prepared(Path(data_dir))
        with locked(folder / "lock"):
            record = _running(folder)
            if record is not None:
                if secure and not record.secure:
                    raise _runs_plain(folder)
                _await_answer(folder, record, None, time.monotonic() + ready_timeout_s)
                return cls(folder, record, child=None)
            java = find_java()
            jars = broker_jars(say=say)
            last = _read_record(folder)
            secure = secure or (last is not None and last.secure)
            starter = _Starter(folder, java, jars, bound_to_parent=bound_to_parent, secure=secure)
            child, record = starter.start(port, ready_timeout_s)
            return cls(folder, record, child=child)

    @classmethod
    def attach(cls, data_dir: Path | str) -> Self | None:
        """The running broker of ``data_dir``, or None."""
        folder = Path(data_dir).absolute()
        record = _running(folder)
        return None if record is None else cls(folder, record, child=None)

    def access(
        self, principal: str = ADMIN, *, security: Security = Security.SASL_SSL
    ) -> ClusterAccess:
        """How a principal reaches it: by password, or with SSL by certificate.

        A plain broker does not ask who comes.
        """
        if not self.secure:
            return ClusterAccess.of(self.bootstrap_servers)
        keys = _keys(self.data_dir)
        if security is Security.SASL_SSL:
            return keys.by_password(principal, self.bootstrap_servers)
        assert security is Security.SSL, "a secure broker has no plain listener"
        assert self.mutual_tls_servers is not None, "a secure broker has both listeners"
        return keys.by_certificate(principal, self.mutual_tls_servers)

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self._child.poll() is None if self._child else _is_ours(self.pid, self.data_dir)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End it in order, by force if that takes longer than ``timeout_s``. May be repeated."""
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive:
                break
            os.kill(self.pid, ending)
            self._wait(timeout_s)
        assert not self.alive, f"the broker (process {self.pid}) outlived SIGKILL"
        record = _read_record(self.data_dir)
        if record is not None and record.pid == self.pid:
            record.pid = None
            _write_record(self.data_dir, record)

    def _wait(self, timeout_s: float) -> None:
        try:
            if self._child is not None:
                self._child.wait(timeout_s)
            else:
                psutil.Process(self.pid).wait(timeout_s)
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired, psutil.NoSuchProcess):
            return

    def __enter__(self) -> Self:
        """The broker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.stop()

    @staticmethod
    def status(data_dir: Path | str) -> BrokerStatus:
        """What runs on ``data_dir``; looks, changes nothing, needs neither Java nor Maven."""
        folder = Path(data_dir).absolute()
        record = _running(folder)
        if record is None:
            return BrokerStatus(data_dir=str(folder), running=False)
        return BrokerStatus(
            data_dir=str(folder),
            running=True,
            answering=_answers(folder, record),
            pid=record.pid,
            bootstrap_servers=record.bootstrap_servers,
            kafka_version=record.kafka_version,
            secure=record.secure,
            mutual_tls_servers=record.mutual_tls_servers,
        )


def _prepared(data_dir: Path) -> Path:
    """The data folder as an absolute path, made if need be, writable and with room."""
    folder = data_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _folder_failed(folder, error) from error
    if free < DISK_FREE_BYTES_MIN:
        raise BrokerUnavailable(
            f"The disk of {folder} is full: {free // 2**20} MB free.",
            f"Free {DISK_FREE_BYTES_MIN // 2**20} MB there, or choose another --data-dir.",
        )
    return folder


def _folder_failed(folder: Path, error: OSError) -> BrokerUnavailable:
    if error.errno == errno.ENOSPC:
        return BrokerUnavailable(
            f"The disk of {folder} is full.", "Free some room, or choose another --data-dir."
        )
    return BrokerUnavailable(
        f"The data folder {folder} cannot be written: {error.strerror}.",
        "Make it writable for you, or choose another --data-dir.",
    )


def _record_path(folder: Path) -> Path:
    return folder / "broker.json"


def _read_record(folder: Path) -> _Record | None:
    """None where there is none, or where it is not to be read: then it is made anew."""
    try:
        return msgspec.json.decode(_record_path(folder).read_bytes(), type=_Record)
    except (OSError, msgspec.DecodeError):
        return None


def _write_record(folder: Path, record: _Record) -> None:
    new = _record_path(folder).with_suffix(".new")
    new.write_bytes(msgspec.json.encode(record) + b"\n")
    new.replace(_record_path(folder))


def _keys(folder: Path) -> BrokerKeys:
    return BrokerKeys(folder / "keys")


def _answers(folder: Path, record: _Record) -> bool:
    """Whether it serves; over TLS whether it is the one whose keys lie here, too."""
    if not record.secure:
        return answers(HOST, record.port)
    try:
        context = ssl.create_default_context(cafile=_keys(folder).ca)
    except OSError:
        return False
    return answers(HOST, record.port, context=context)


def _mark(folder: Path) -> str:
    """The word in a broker's command line by which it is known; a process id may be reused."""
    return f"-Dxiaohe.broker={folder}"


def _is_ours(pid: int, folder: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and _mark(folder) in process.cmdline()
    except psutil.Error:
        return False


def _running(folder: Path) -> _Record | None:
    """The record of the broker that runs on ``folder`` now, if one does.

    A starter that was killed before it could write the record leaves a broker whose process id
    nobody noted: it is looked for by its mark.
    """
    record = _read_record(folder)
    if record is None:
        return None
    if record.pid is not None and _is_ours(record.pid, folder):
        return record
    for process in psutil.process_iter():
        if _is_ours(process.pid, folder):
            record.pid = process.pid
            return record
    return None


class _Starter:
    """What a start needs to know; its methods are the steps, in their order."""

    def __init__(
        self, folder: Path, java: Path, jars: Jars, *, bound_to_parent: bool, secure: bool
    ) -> None:
        self.folder = folder
        self.java = java
        self.jars = jars
        self.bound_to_parent = bound_to_parent
        self.secure = secure
        # Java takes the encoding of file names from the locale, and "C" would be ASCII.
        self.env = {**os.environ, "LC_ALL": "C.UTF-8"}

    def start(
        self, port: int | None, ready_timeout_s: float
    ) -> tuple[subprocess.Popen[bytes], _Record]:
        """Settings, storage, process, first answer; other ports if somebody was quicker."""
        deadline = time.monotonic() + ready_timeout_s
        for attempt in range(PORT_ATTEMPTS):
            record = self._chosen_ports(port, keep=attempt == 0)
            log_start = _size(self.folder / "broker.log")
            try:
                self._write_settings(record)
            except OSError as error:
                raise _folder_failed(self.folder, error) from error
            self._format()
            child = self._launch()
            try:
                record.pid = child.pid
                _write_record(self.folder, record)
                _await_answer(self.folder, record, child, deadline, log_start)
            except _PortTaken:
                continue
            except BaseException:
                child.kill()
                child.wait()
                raise
            return child, record
        raise _port_taken(port)

    def _chosen_ports(self, wanted: int | None, *, keep: bool) -> _Record:
        """Ports that are free now. The last ones come first: clients know them."""
        last = _read_record(self.folder) if keep else None
        if wanted is not None and not is_free(wanted):
            raise _port_taken(wanted)
        taken: set[int] = {wanted} if wanted is not None else set()
        port = wanted
        if port is None:
            port = last.port if last and is_free(last.port) else free_port(taken)
            taken.add(port)
        controller = last.controller_port if last else None
        if controller is None or controller in taken or not is_free(controller):
            controller = free_port(taken)
        taken.add(controller)
        mutual_tls = last.mutual_tls_port if last else None
        if mutual_tls is None or mutual_tls in taken or not is_free(mutual_tls):
            mutual_tls = free_port(taken) if self.secure else None
        return _Record(
            port=port,
            controller_port=controller,
            kafka_version=self.jars.kafka_version,
            secure=self.secure,
            mutual_tls_port=mutual_tls,
        )

    def _write_settings(self, record: _Record) -> None:
        settings = (SETTINGS_DIR / "server.properties").read_text(encoding="utf-8")
        settings += f"\nlisteners={record.listeners}\n"
        settings += f"controller.quorum.voters=1@{HOST}:{record.controller_port}\n"
        if record.secure:
            principals = load_topics().principals
            keys = _keys(self.folder)
            keys.make(principals)
            settings += keys.settings(principals)
        (self.folder / "server.properties").write_text(settings, encoding="utf-8")
        shutil.copyfile(SETTINGS_DIR / "log4j2.yaml", self.folder / "log4j2.yaml")

    def _format(self) -> None:
        """Give a new folder its cluster id and Kafka's features of today, by Kafka's own tool.

        That is a second start of Java, 0.6 s once a folder; a meta.properties of our own would
        do, too, but leaves the features off that a cluster formatted in the usual way has on.
        """
        if (self.folder / "log" / "meta.properties").exists():
            return
        tool = [*self._java("-XX:TieredStopAtLevel=1"), "kafka.tools.StorageTool", "format"]
        try:
            done = subprocess.run(  # noqa: S603 - Java, found on the path
                [*tool, f"--cluster-id={_cluster_id()}", "--config=server.properties"],
                cwd=self.folder,
                env=self.env,
                capture_output=True,
                timeout=READY_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _java_failed(self.java, error) from error
        if done.returncode != 0:
            raise _broker_failed(self.folder, (done.stdout + done.stderr).decode(errors="replace"))

    def _java(self, *flags: str) -> list[str]:
        return [str(self.java), *JVM_FLAGS, *flags, "-cp", self.jars.classpath]

    def _launch(self) -> subprocess.Popen[bytes]:
        command = [*self._java(_mark(self.folder)), "kafka.Kafka", "server.properties"]
        start = start_bound if self.bound_to_parent else start_free
        with (self.folder / "broker.out").open("wb") as output:
            try:
                return start(command, cwd=self.folder, env=self.env, output=output)
            except OSError as error:
                raise _java_failed(self.java, error) from error


class _PortTaken(Exception):
    """Somebody took the port between our look and Kafka's."""


def _await_answer(
    folder: Path,
    record: _Record,
    child: subprocess.Popen[bytes] | None,
    deadline: float,
    log_start: int = 0,
) -> None:
    """Return when the broker answers. Raises BrokerUnavailable, or _PortTaken."""
    assert record.pid is not None
    while not _answers(folder, record):
        gone = child.poll() is not None if child else not _is_ours(record.pid, folder)
        if gone or time.monotonic() > deadline:
            said = _said(folder, log_start)
            if gone and child and "Address already in use" in said:
                raise _PortTaken
            if gone:
                raise _broker_failed(folder, said)
            raise BrokerUnavailable(
                f"Kafka did not answer in time. The end of {folder / 'broker.log'}:\n"
                f"{tail_of(said)}",
                "On a slow or busy machine, start again; what it has done so far is kept.",
            )
        time.sleep(LOOK_AGAIN_S)


def _said(folder: Path, log_start: int) -> str:
    """What Java and Kafka have said since this start."""
    text = ""
    for name, start in (("broker.out", 0), ("broker.log", log_start)):
        path = folder / name
        if path.exists():
            with path.open("rb") as file:
                # a log that is shorter than it was has been rolled: all of it is new
                file.seek(start if start <= _size(path) else 0)
                text += file.read().decode(errors="replace")
    return text


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _broker_failed(folder: Path, said: str) -> BrokerUnavailable:
    if "No space left on device" in said:
        return _folder_failed(folder, OSError(errno.ENOSPC, "No space left on device"))
    return BrokerUnavailable(
        f"Kafka ended as soon as it was started. The end of {folder / 'broker.log'}:\n"
        f"{tail_of(said)}",
        "If the data in that folder can go, remove it and start again; "
        f"else choose another --data-dir. {OTHER_BROKER}",
    )


def _java_failed(java: Path, error: Exception) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"{java} does not run: {error}",
        f"Repair that Java, or name another by JAVA_HOME. {OTHER_BROKER}",
    )


def _runs_plain(folder: Path) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"The broker of {folder} runs already, and lets everybody in.",
        "Stop it first: `xiaohe broker stop`; its data stays.",
    )


def _port_taken(port: int | None) -> BrokerUnavailable:
    named = "Every port that was tried" if port is None else f"Port {port} of {HOST}"
    return BrokerUnavailable(
        f"{named} is taken by another program.",
        "Ask for another port, or for none and any free one is taken. "
        "If a Kafka listens there: --bootstrap-servers names it.",
    )


def _cluster_id() -> str:
    """22 characters of URL-safe base64, as Kafka makes them; none starts with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text
