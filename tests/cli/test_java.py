"""What is said where Java, Maven or a network is missing, and that the jars are fetched once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xiaohe.broker import Broker, BrokerUnavailable
from xiaohe.java import broker_jars, find_java

DOWNLOADER = """#!/bin/sh
echo called >> "$CALLS"
for word; do
    case $word in -DoutputDirectory=*) folder=${word#-DoutputDirectory=} ;; esac
done
mkdir -p "$folder" && : > "$folder/kafka_2.13-0.jar" && : > "$folder/scala.jar"
"""
"""Stands for Maven: makes two jars, and notes that it was called."""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole path, so that a test decides which programs there are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XIAOHE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("MAVEN_HOME", raising=False)
    return folder


def test_without_java_it_says_what_to_install(programs: Path, tmp_path: Path):
    """No java: the error names the package, and the option for a broker that runs elsewhere."""
    with pytest.raises(BrokerUnavailable, match="no java here") as caught:
        Broker.start(tmp_path / "data")
    assert "openjdk-17-jre-headless" in caught.value.advice
    assert "--bootstrap-servers" in caught.value.advice


@pytest.mark.parametrize(
    ("said", "version"), [("11.0.22", 11), ("1.8.0_392", 8), ("16-ea", 16), ("9", 9)]
)
def test_a_java_that_is_too_old_is_named(programs: Path, said: str, version: int):
    """Java before 17: the error names the file, its version and the one that is needed."""
    _install(programs, "java", f"#!/bin/sh\necho 'openjdk version \"{said}\" 2020-01-01' >&2\n")
    with pytest.raises(BrokerUnavailable, match=rf"needs Java 17.*java is Java {version}\."):
        find_java()


@pytest.mark.parametrize("said", ["17.0.15", "25"])
def test_java_home_comes_first_and_its_release_file_is_enough(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
):
    """JAVA_HOME wins over the path, and no Java is started to learn its version."""
    _install(programs, "java", "#!/bin/sh\nexit 1\n")
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    _install(home / "bin", "java", "#!/bin/sh\nexit 1\n")
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{said}"\n')
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java() == home / "bin" / "java"


def test_a_java_that_does_not_run_is_named(programs: Path):
    """A broken java gives what it said."""
    _install(programs, "java", "#!/bin/sh\necho 'libjvm.so: not found' >&2\nexit 127\n")
    with pytest.raises(BrokerUnavailable, match=r"(?s)no version.*libjvm\.so: not found"):
        find_java()


def test_without_maven_it_says_what_to_install(programs: Path):
    """No mvn and nothing in the cache: the error names the package and the other way."""
    with pytest.raises(BrokerUnavailable, match="no mvn here") as caught:
        broker_jars()
    assert "apt install maven" in caught.value.advice
    assert "--bootstrap-servers" in caught.value.advice


@pytest.mark.parametrize(
    ("said", "problem", "advice"),
    [
        (
            "[ERROR] Could not transfer artifact x from/to central",
            "cannot reach",
            "mirror or proxy",
        ),
        ("[ERROR] write: No space left on device", "disk is full", "XIAOHE_CACHE_DIR"),
        ("[ERROR] Malformed POM", "Malformed POM", "mvn -f"),
    ],
)
def test_mavens_trouble_is_told_apart(programs: Path, said: str, problem: str, advice: str):
    """No network, no room, anything else: each has its own advice, and nothing is left behind."""
    _install(programs, "mvn", f"#!/bin/sh\necho '{said}'\nexit 1\n")
    with pytest.raises(BrokerUnavailable, match=problem) as caught:
        broker_jars()
    assert advice in caught.value.advice
    cache = Path(os.environ["XIAOHE_CACHE_DIR"]) / "broker"
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_two_processes_fetch_the_jars_once(programs: Path, tmp_path: Path):
    """Of two that need the jars at the same time one fetches them; later nobody does."""
    _install(programs, "mvn", DOWNLOADER.replace("mkdir", "/bin/mkdir"))
    program = "from xiaohe.java import broker_jars; print(broker_jars().classpath)"
    both = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert said == {broker_jars().classpath}
    assert (tmp_path / "calls").read_text() == "called\n"
    assert [Path(jar).name for jar in said.pop().split(":")] == ["kafka_2.13-0.jar", "scala.jar"]


def test_a_cache_that_cannot_be_written_is_named(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The error names the folder and the variable that moves it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XIAOHE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(BrokerUnavailable, match="cannot be written") as caught:
        broker_jars()
    assert "XIAOHE_CACHE_DIR" in caught.value.advice


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path):
    """The error names the folder and the option."""
    (tmp_path / "file").touch()
    with pytest.raises(BrokerUnavailable, match="file/data cannot be written") as caught:
        Broker.start(tmp_path / "file" / "data")
    assert "--data-dir" in caught.value.advice


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A disk with too little room for Kafka is named before Kafka fails in some other way."""
    monkeypatch.setattr("xiaohe.broker.DISK_FREE_BYTES_MIN", 2**62)
    with pytest.raises(BrokerUnavailable, match="full") as caught:
        Broker.start(tmp_path)
    assert "Free" in caught.value.advice


def test_the_status_of_a_folder_that_never_had_a_broker(tmp_path: Path):
    """Asking changes nothing and needs no Java."""
    status = Broker.status(tmp_path / "none")
    assert not status.running
    assert status.bootstrap_servers is None
    assert not (tmp_path / "none").exists()


def _install(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(script)
    file.chmod(0o755)
