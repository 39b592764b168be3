"""How a Kafka cluster is reached: where it is, and what is shown to it to be let in.

One frozen value, which everything that opens a connection takes. It holds paths, never a secret:
a password is read from its file when a client is made, and stands in no repr, log, environment or
command line. A bare string in its place is a cluster without any security, at these servers.
"""

import contextlib
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

SASL_MECHANISM: Final = "SCRAM-SHA-512"
"""The one way of showing a password: the broker keeps no password, and none crosses the wire."""

ENVIRONMENT: Final = "XIAOHE_KAFKA_"
"""What the variables begin with that tell a part how to reach its cluster."""


class AccessError(Exception):
    """What is said about reaching the cluster cannot be used; the message says what to do."""


class _TakesLeave(ssl.SSLObject):
    """An end of TLS that says that it closes, and does not wait for the other end to say so, too.

    uvloop misses that the broker has closed in turn, and would hold a client that is being closed
    for half a minute: a take-over closes a reader an area. TLS 1.3 asks nobody to wait (RFC 8446,
    6.1), and what Kafka sends has its own lengths, so that nothing can be cut short unnoticed.
    """

    def unwrap(self) -> None:  # type: ignore[override]  # nobody looks at what is left
        """Put the word that this end closes among what is to be sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            super().unwrap()


class Security(StrEnum):
    """What protects a connection, in Kafka's words."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_SSL = "SASL_SSL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """How to reach one cluster.

    Attributes
    ----------
    bootstrap_servers : ``host:port``, several separated by commas.
    security : PLAINTEXT; SSL (TLS, with ``cert`` and ``key`` mutual); SASL_SSL (TLS, and a user
        with a password by SCRAM-SHA-512).
    ca : certificates (PEM) of who may vouch for the broker; None: those the system trusts.
    cert, key : this client's certificate (PEM, with any between it and the CA) and private key.
    user : the SCRAM user.
    password_file : the file that holds the user's password; a newline at its end does not count.
    """

    bootstrap_servers: str
    security: Security = Security.PLAINTEXT
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    user: str | None = None
    password_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together. Raises AccessError."""
        if (self.cert is None) != (self.key is None):
            raise AccessError(
                "a client's certificate and its private key go together: "
                "name both, with --kafka-cert and --kafka-key"
            )
        if (self.user is None) != (self.password_file is None):
            raise AccessError(
                "a Kafka user and a password go together: "
                "name both, with --kafka-user and --kafka-password-file"
            )
        needs_user = self.security is Security.SASL_SSL
        if needs_user and self.user is None:
            raise AccessError(
                "SASL_SSL wants a user: name one with --kafka-user and --kafka-password-file, "
                "or say --kafka-security SSL"
            )
        if not needs_user and self.user is not None:
            raise AccessError(
                f"a Kafka user is shown over SASL_SSL, not over {self.security}: "
                "say --kafka-security SASL_SSL, or leave --kafka-user out"
            )
        if self.security is Security.PLAINTEXT and (self.ca or self.cert):
            raise AccessError(
                "certificates are of no use over PLAINTEXT: "
                "say --kafka-security SSL or SASL_SSL, or leave them out"
            )

    @classmethod
    def of(
        cls,
        bootstrap_servers: str,
        *,
        security: Security | None = None,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        user: str | None = None,
        password_file: Path | None = None,
    ) -> Self:
        """Make it of what a person said; the security that was not named follows from the rest.

        Raises AccessError.
        """
        if security is None and user is not None:
            security = Security.SASL_SSL
        elif security is None:
            security = Security.SSL if ca or cert else Security.PLAINTEXT
        return cls(
            bootstrap_servers=bootstrap_servers,
            security=security,
            ca=ca,
            cert=cert,
            key=key,
            user=user,
            password_file=password_file,
        )

    @property
    def servers(self) -> list[str]:
        """Each ``host:port``."""
        return self.bootstrap_servers.split(",")

    def ssl_context(self) -> ssl.SSLContext | None:
        """Give what TLS is spoken with; None over PLAINTEXT. Raises AccessError."""
        if self.security is Security.PLAINTEXT:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as fault:
            raise AccessError(
                f"{self.ca} holds no CA certificate that can be read ({fault}): "
                "name the PEM file of the cluster's CA with --kafka-ca"
            ) from fault
        context.sslobject_class = _TakesLeave
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as fault:
                raise AccessError(
                    f"the certificate {self.cert} and the key {self.key} cannot be used "
                    f"({fault}): name two PEM files that belong together with --kafka-cert and "
                    "--kafka-key"
                ) from fault
        return context

    def password(self) -> str | None:
        """Read the user's password; None where there is no user. Raises AccessError."""
        if self.password_file is None:
            return None
        try:
            password = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeError) as fault:
            raise AccessError(
                f"the password file {self.password_file} cannot be read ({fault}): "
                "name another with --kafka-password-file"
            ) from fault
        if not password:
            raise AccessError(f"the password file {self.password_file} is empty")
        return password

    def client_options(self) -> dict[str, Any]:
        """Give the keyword arguments that every client of aiokafka takes. Raises AccessError."""
        options: dict[str, Any] = {"bootstrap_servers": self.servers}
        if self.security is not Security.PLAINTEXT:
            options |= {"security_protocol": str(self.security), "ssl_context": self.ssl_context()}
        if self.user is not None:
            options |= {
                "sasl_mechanism": SASL_MECHANISM,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password(),
            }
        return options

    def as_environment(self) -> dict[str, str]:
        """Give the variables by which a part that is started learns all but the servers.

        Every one is set, so that what this process was told does not shine through; empty is
        none. Paths are absolute.
        """
        said = {
            "SECURITY": str(self.security),
            "CA": self.ca,
            "CERT": self.cert,
            "KEY": self.key,
            "USER": self.user,
            "PASSWORD_FILE": self.password_file,
        }
        return {ENVIRONMENT + name: _told(value) for name, value in said.items()}

    def environment_of_child(self) -> Mapping[str, str]:
        """Give this process's whole environment, with the access to this cluster in it."""
        return {**os.environ, **self.as_environment()}


Cluster = ClusterAccess | str
"""A cluster, or the servers of one without any security."""


def access_to(cluster: Cluster) -> ClusterAccess:
    """Give a cluster's access; a bare string names the servers of one without security."""
    return cluster if isinstance(cluster, ClusterAccess) else ClusterAccess.of(cluster)


def client_options(cluster: Cluster) -> dict[str, Any]:
    """Give the keyword arguments that every client of aiokafka takes. Raises AccessError."""
    return access_to(cluster).client_options()


def shown_servers(cluster: Cluster) -> str:
    """Give the servers alone, to be shown to people."""
    return access_to(cluster).bootstrap_servers


def _told(value: Path | str | None) -> str:
    return str(value.absolute()) if isinstance(value, Path) else value or ""
