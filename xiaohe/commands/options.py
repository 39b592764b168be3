"""Options that several commands share."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from xiaohe.wire.cluster_access import AccessError, ClusterAccess, Security

PORT_MAX = 65_535

DEFAULT_HTTP = "127.0.0.1:8080"
"""Where the gateway listens unless told otherwise."""

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object a line.")]
DataDir = Annotated[
    Path, Parameter(name="--data-dir", help="Folder for what is kept while running.")
]
Servers = Annotated[
    str | None,
    Parameter(
        name="--bootstrap-servers", help="A running Kafka, HOST:PORT[,…]; else its own broker."
    ),
]
NeededServers = Annotated[
    str, Parameter(name="--bootstrap-servers", help="The Kafka to talk to, HOST:PORT[,…].")
]


Secure = Annotated[
    bool,
    Parameter(
        name="--secure",
        negative="",
        help="Its own broker lets nobody in unnamed: TLS, passwords, certificates, rights.",
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Kafka:
    """What is shown to a Kafka to be let in; also XIAOHE_KAFKA_* and xiaohe.toml. Empty is none.

    A password stands in a file of its own, never on a command line.
    """

    kafka_security: Annotated[
        str | None,
        Parameter(help="PLAINTEXT, SSL or SASL_SSL; else what follows from the others."),
    ] = None
    kafka_ca: Annotated[
        str | None, Parameter(help="CA certificates (PEM) that vouch for the broker.")
    ] = None
    kafka_cert: Annotated[
        str | None, Parameter(help="This client's certificate (PEM), for mutual TLS.")
    ] = None
    kafka_key: Annotated[str | None, Parameter(help="Its private key (PEM).")] = None
    kafka_user: Annotated[str | None, Parameter(help="SCRAM-SHA-512 user.")] = None
    kafka_password_file: Annotated[
        str | None, Parameter(help="The file that holds the user's password.")
    ] = None

    @property
    def said(self) -> bool:
        """Whether anything was said."""
        return any(vars(self).values())

    def access(self, bootstrap_servers: str) -> ClusterAccess:
        """Give the access to a cluster. Raises AccessError."""
        return ClusterAccess.of(
            bootstrap_servers,
            security=_security(self.kafka_security),
            ca=_path(self.kafka_ca),
            cert=_path(self.kafka_cert),
            key=_path(self.kafka_key),
            user=self.kafka_user or None,
            password_file=_path(self.kafka_password_file),
        )


NOTHING_SAID: Final = Kafka()
"""No word on how to be let in."""


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _security(text: str | None) -> Security | None:
    if not text:
        return None
    try:
        return Security(text.upper())
    except ValueError:
        known = ", ".join(Security)
        raise AccessError(f"--kafka-security {text}: it is one of {known}") from None


Roads = Annotated[
    Path | None, Parameter(name="--roads", help="Roads file; else that of Xiaohe sub-district.")
]
RosterFile = Annotated[
    Path | None,
    Parameter(name="--roster", help="JSON array, published for members that the topic lacks."),
]
PolicyFile = Annotated[
    Path | None, Parameter(name="--policy", help="Policy file, laid over the defaults.")
]

Feeds = Annotated[
    Path | None,
    Parameter(name="--feeds", help="Folder of mapping files (*.yaml) for other systems' JSON."),
]

Services = Annotated[
    Path | None,
    Parameter(
        name="--services", help="Services of Open311 (YAML); else those of data/open311.yaml."
    ),
]


def _address(_: object, text: str) -> None:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ValueError(f"{text!r} is no address: write HOST:PORT, such as {DEFAULT_HTTP}")


def positive(_: object, number: float) -> None:
    """Refuse what is not more than 0, or no number at all (nan, inf), for cyclopts to say."""
    if not 0 < number < inf:
        raise ValueError("must be more than 0")


Http = Annotated[
    str,
    Parameter(name="--http", help="Where the gateway listens, HOST:PORT.", validator=_address),
]
Workers = Annotated[int, Parameter(name="--workers", help="How many workers.", validator=positive)]
Speed = Annotated[
    float,
    Parameter(
        name="--speed",
        help="How much faster than the day: divides durations, multiplies speeds.",
        validator=positive,
    ),
]


SecretFile = Annotated[
    Path | None,
    Parameter(name="--secret-file", help="The gateway's secret; else access/secret in --data-dir."),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Outside:
    """How the gateway is reached from other machines; without, from this one alone."""

    tls_cert: Annotated[
        Path | None, Parameter(help="The gateway's certificate (PEM), with any above it.")
    ] = None
    tls_key: Annotated[Path | None, Parameter(help="Its private key (PEM).")] = None
    behind_proxy: Annotated[
        str | None,
        Parameter(help="Address of a proxy with TLS, from which alone connections are taken."),
    ] = None
    doors: Annotated[
        Path | None, Parameter(help="Settings of the doors; else those of data/doors.yaml.")
    ] = None
    secret_file: SecretFile = None

    def arguments(self) -> tuple[str, ...]:
        """Give what was said as arguments of another command, its files by their whole paths."""
        files = {
            "--tls-cert": self.tls_cert,
            "--tls-key": self.tls_key,
            "--doors": self.doors,
            "--secret-file": self.secret_file,
        }
        said = [
            word for name, path in files.items() if path for word in (name, str(path.absolute()))
        ]
        return (*said, *(("--behind-proxy", self.behind_proxy) if self.behind_proxy else ()))


THIS_MACHINE: Final = Outside()
"""No word on other machines."""
