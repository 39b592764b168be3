"""Java, Maven, and the broker's jars: what must be on the machine to run a real Kafka.

Maven copies the jars that ``deploy/broker/pom.xml`` pins into a per-user cache folder once; after
that neither Maven nor a network is needed. ``XIAOHE_CACHE_DIR`` moves the cache.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

POM = Path(__file__).parent / "deploy" / "broker" / "pom.xml"

JAVA_VERSION_MIN = 17
"""Kafka 4 brokers are compiled for Java 17."""

JAVA_ANSWER_S = 20.0
"""How long ``java -version`` may take; a cold start on a slow disk takes a few seconds."""

MAVEN_TIMEOUT_S = 900.0
"""How long Maven may take: about 60 MB with plugins, over a slow line."""

LOG_TAIL_LINES = 12
"""Lines of a failed program's output that an error repeats."""

OTHER_BROKER = "Or name a Kafka that runs already: --bootstrap-servers HOST:PORT."


class BrokerUnavailable(Exception):
    """No broker can be had here. ``advice`` says what to do about it, in a sentence or two."""

    def __init__(self, problem: str, advice: str) -> None:
        """``problem`` is what was found, ``advice`` what to do next."""
        super().__init__(problem)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        """Both sentences, for people."""
        return f"{self.problem}\n{self.advice}"


class Jars(msgspec.Struct, frozen=True):
    """The broker's jars, ready in the cache."""

    kafka_version: str
    folder: Path

    @property
    def classpath(self) -> str:
        """All jars by name; a wildcard would leave their order to the file system."""
        return os.pathsep.join(str(jar) for jar in sorted(self.folder.glob("*.jar")))


def find_java() -> Path:
    """``$JAVA_HOME/bin/java``, else the one on the path. Raises BrokerUnavailable."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    install = (
        f"Install Java {JAVA_VERSION_MIN} or newer, on Debian and Ubuntu: "
        f"apt install openjdk-{JAVA_VERSION_MIN}-jre-headless. {OTHER_BROKER}"
    )
    if found is None:
        raise BrokerUnavailable("Kafka needs Java, and there is no java here.", install)
    version = _java_version(Path(found))
    if version < JAVA_VERSION_MIN:
        raise BrokerUnavailable(
            f"Kafka needs Java {JAVA_VERSION_MIN}, and {found} is Java {version}.",
            f"{install} (JAVA_HOME chooses between several.)",
        )
    return Path(found)


def _java_version(java: Path) -> int:
    """The major version, from the ``release`` file beside it or, slower, from Java itself."""
    release = java.resolve().parent.parent / "release"
    try:
        text = release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    if match is None:
        try:
            answer = subprocess.run(  # noqa: S603 - a program found on the path
                [java, "-version"], capture_output=True, timeout=JAVA_ANSWER_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BrokerUnavailable(
                f"{java} does not run: {error}", f"Repair that Java. {OTHER_BROKER}"
            ) from error
        said = answer.stderr.decode(errors="replace")
        match = re.search(r'version "([^"]+)"', said)
        if match is None:
            raise BrokerUnavailable(
                f"{java} -version gave no version:\n{tail_of(said)}",
                f"Repair that Java. {OTHER_BROKER}",
            )
    parts = re.split(r"[._+-]", match[1])
    return int(parts[1] if parts[0] == "1" else parts[0])  # "1.8.0_392" is Java 8


def cache_dir() -> Path:
    """Where downloaded things are kept: XIAOHE_CACHE_DIR, else the user's cache folder."""
    own = os.environ.get("XIAOHE_CACHE_DIR")
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "xiaohe"


def broker_jars(pom: Path = POM, say: Callable[[str], None] = lambda _: None) -> Jars:
    """The jars that ``pom`` pins, from the cache, or by Maven into the cache.

    ``say`` is told in a line when something takes long. Safe with several processes at once: one
    fetches, the others wait. Raises BrokerUnavailable.
    """
    pinned = pom.read_bytes()
    version = _pinned_version(pinned)
    name = f"{version}-{hashlib.sha256(pinned).hexdigest()[:12]}"
    folder = cache_dir() / "broker" / name
    if folder.is_dir():
        return Jars(version, folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent / "lock"):
            if not folder.is_dir():
                say(f"fetching Apache Kafka {version} with Maven, once, into {folder}")
                _fetch(pom, folder)
    except OSError as error:
        raise BrokerUnavailable(
            f"The cache folder {folder.parent} cannot be written: {error.strerror}.",
            "Make it writable and see that its disk has 100 MB free, "
            "or set XIAOHE_CACHE_DIR to another folder.",
        ) from error
    return Jars(version, folder)


def _pinned_version(pom: bytes) -> str:
    found = ET.fromstring(pom).findtext(".//{*}kafka.version")  # noqa: S314 - our own file
    assert found is not None, "pom.xml names no kafka.version"
    return found


def _fetch(pom: Path, folder: Path) -> None:
    """Fill ``folder``: beside it first, then by one rename, so that a half one is never seen."""
    maven = _find_maven()
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as half:
        jars = Path(half) / "jars"
        # the goal by its full name: for a short one Maven would ask its repository who has it
        command = [maven, "-q", "-B", "-Dstyle.color=never", "-f", str(pom)]
        command += ["org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(  # noqa: S603 - a program found on the path
                command, capture_output=True, timeout=MAVEN_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerUnavailable(
                f"Maven did not come to an end within {MAVEN_TIMEOUT_S:.0f} s.",
                f"See whether this machine reaches its Maven repository. {OTHER_BROKER}",
            ) from error
        if done.returncode != 0 or not any(jars.glob("kafka_*.jar")):
            raise _maven_failed((done.stdout + done.stderr).decode(errors="replace"))
        jars.rename(folder)


def _find_maven() -> str:
    home = os.environ.get("MAVEN_HOME")
    found = shutil.which("mvn", path=f"{home}/bin") if home else None
    found = found or shutil.which("mvn")
    if found is None:
        raise BrokerUnavailable(
            "Apache Kafka is not in the cache yet, and there is no mvn here to fetch it.",
            f"Install Maven, on Debian and Ubuntu: apt install maven. {OTHER_BROKER}",
        )
    return found


def _maven_failed(said: str) -> BrokerUnavailable:
    said = re.sub(r"\x1b\[[0-9;]*m", "", said)
    # Maven names the cause first, and ends with hints on how to run Maven
    said = re.split(r"^\[ERROR\]\s*(?:-> \[Help|To see the full|$)", said, flags=re.MULTILINE)[0]
    if re.search(r"No space left on device", said):
        return BrokerUnavailable(
            "The disk is full: Maven could not store Apache Kafka.",
            "Free 100 MB, or set XIAOHE_CACHE_DIR to a folder on another disk.",
        )
    if re.search(r"Could not transfer|Unknown host|UnknownHost|offline mode", said):
        return BrokerUnavailable(
            f"Maven cannot reach its repository:\n{tail_of(said)}",
            "See that this machine reaches Maven Central, or name a mirror or proxy in "
            f"~/.m2/settings.xml. {OTHER_BROKER}",
        )
    return BrokerUnavailable(
        f"Maven could not fetch Apache Kafka:\n{tail_of(said)}",
        f"Try by hand: mvn -f {POM} dependency:copy-dependencies. {OTHER_BROKER}",
    )


def tail_of(text: str) -> str:
    """The last lines of a program's output, indented, for an error; no stack frames."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")]
    lines = lines[-LOG_TAIL_LINES:]
    return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold ``path`` as a lock between processes; it is let go when the holder dies, too."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
