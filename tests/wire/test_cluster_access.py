"""How a cluster is reached: what fits together, and what is never shown."""

from pathlib import Path

import pytest

from xiaohe.wire.cluster_access import (
    AccessError,
    ClusterAccess,
    Security,
    access_to,
    client_options,
)

SECRET = "never-to-be-seen"


def test_a_bare_string_is_a_cluster_without_security() -> None:
    """Servers alone mean PLAINTEXT, and a client is told nothing more than where they are."""
    assert access_to("a:1,b:2") == ClusterAccess(bootstrap_servers="a:1,b:2")
    assert client_options("a:1,b:2") == {"bootstrap_servers": ["a:1", "b:2"]}


@pytest.mark.parametrize(
    ("said", "follows"),
    [
        ({}, Security.PLAINTEXT),
        ({"ca": Path("ca.pem")}, Security.SSL),
        ({"cert": Path("c.pem"), "key": Path("k.pem")}, Security.SSL),
        ({"user": "u", "password_file": Path("p"), "ca": Path("ca.pem")}, Security.SASL_SSL),
    ],
)
def test_the_security_follows_from_what_is_shown(said: dict[str, Path], follows: Security) -> None:
    """Who names a user means SASL_SSL, who names a certificate means SSL."""
    assert ClusterAccess.of("a:1", **said).security is follows  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "asked_for"),
    [
        ({"cert": Path("c.pem")}, "--kafka-key"),
        ({"user": "u"}, "--kafka-password-file"),
        ({"security": Security.SASL_SSL}, "--kafka-user"),
        ({"security": Security.PLAINTEXT, "ca": Path("ca.pem")}, "--kafka-security"),
        ({"security": Security.SSL, "user": "u", "password_file": Path("p")}, "--kafka-security"),
    ],
)
def test_what_does_not_fit_together_is_refused(said: dict[str, Path], asked_for: str) -> None:
    """Half a pair, or a thing that is of no use, names the option that mends it."""
    with pytest.raises(AccessError, match=asked_for):
        ClusterAccess.of("a:1", **said)  # type: ignore[arg-type]


def test_a_password_is_read_from_its_file_and_shown_nowhere(tmp_path: Path) -> None:
    """The client is given it; the value, its text and what a child is told name the file alone."""
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    access = ClusterAccess.of("a:1", user="u", password_file=file)
    assert access.client_options()["sasl_plain_password"] == SECRET
    assert access.client_options()["sasl_mechanism"] == "SCRAM-SHA-512"
    for shown in (repr(access), str(access), str(access.as_environment())):
        assert SECRET not in shown
        assert str(file) in shown


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_password_file_without_a_password_is_refused(tmp_path: Path, content: str | None) -> None:
    """One that is missing or empty is named."""
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    with pytest.raises(AccessError, match=str(file)):
        ClusterAccess.of("a:1", user="u", password_file=file).client_options()


def test_a_certificate_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """A CA or a certificate that is no PEM is named, with the option to mend it."""
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    with pytest.raises(AccessError, match=rf"{junk}.*--kafka-ca"):
        ClusterAccess.of("a:1", ca=junk).client_options()
    with pytest.raises(AccessError, match=rf"{junk}.*--kafka-cert"):
        ClusterAccess.of("a:1", cert=junk, key=junk).client_options()


def test_a_child_is_told_everything_so_that_nothing_shines_through() -> None:
    """Every variable is set; what is not used is empty, and paths do not depend on a folder."""
    told = ClusterAccess.of("a:1", ca=Path("ca.pem")).as_environment()
    assert told == {
        "XIAOHE_KAFKA_SECURITY": "SSL",
        "XIAOHE_KAFKA_CA": str(Path("ca.pem").absolute()),
        "XIAOHE_KAFKA_CERT": "",
        "XIAOHE_KAFKA_KEY": "",
        "XIAOHE_KAFKA_USER": "",
        "XIAOHE_KAFKA_PASSWORD_FILE": "",
    }
