"""What a secure one-machine broker and its principals show each other: certificates, passwords.

The folder holds an authority of its own, the broker's certificate, and for every principal of
``topics.yaml`` a certificate and a password, each in a file that its owner alone may read. All of
it is made the first time and found again; a password is changed by writing another into its file
and starting the broker again.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xiaohe.local_ca import LocalCa, write_secret
from xiaohe.loopback import HOST
from xiaohe.topics import ADMIN, PrincipalEntry, TopicsFileError
from xiaohe.wire.cluster_access import SASL_MECHANISM, ClusterAccess, Security

BROKER: Final = "broker"
"""The broker's own name, by which it speaks with itself."""

PASSWORD_BYTES: Final = 32
"""256 bits of chance: nothing to be guessed, however few rounds SCRAM takes."""

KEYSTORE: Final = "broker-keystore.pem"
"""Key and certificate in one file, as Kafka wants them."""

LOGIN_MODULE: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required"


@dataclass(frozen=True, slots=True)
class BrokerKeys:
    """The keys in a folder; ``make`` sees to it that all are there."""

    folder: Path

    def make(self, principals: Mapping[str, PrincipalEntry]) -> None:
        """Make what is missing or ends soon, for the broker and each principal.

        Raises LocalCaError, and TopicsFileError where the principals cannot be served.
        """
        if BROKER in principals or not principals[ADMIN].superuser:
            raise TopicsFileError(
                f"topics.yaml: a secure one-machine broker needs the principal {ADMIN!r} as a "
                f"superuser, and {BROKER!r} is its own name"
            )
        ca = LocalCa.at(self.folder)
        server = ca.server(BROKER, [HOST, "localhost"])
        write_secret(self.folder / KEYSTORE, server.key.read_bytes() + server.cert.read_bytes())
        for name in principals:
            ca.client(name)
            if not self.password_file(name).exists():
                password = secrets.token_urlsafe(PASSWORD_BYTES)
                write_secret(self.password_file(name), f"{password}\n".encode())

    @property
    def ca(self) -> Path:
        """The certificate by which the broker is known."""
        return self.folder / "ca.pem"

    def password_file(self, principal: str) -> Path:
        """The file that holds a principal's password."""
        return self.folder / f"{principal}.password"

    def by_password(self, principal: str, servers: str) -> ClusterAccess:
        """Give a principal's access by SCRAM, on the broker's SASL_SSL listener."""
        return ClusterAccess(
            bootstrap_servers=servers,
            security=Security.SASL_SSL,
            ca=self.ca,
            user=principal,
            password_file=self.password_file(principal),
        )

    def by_certificate(self, principal: str, servers: str) -> ClusterAccess:
        """Give a principal's access by its certificate, on the broker's mutual TLS listener."""
        return ClusterAccess(
            bootstrap_servers=servers,
            security=Security.SSL,
            ca=self.ca,
            cert=self.folder / f"{principal}.pem",
            key=self.folder / f"{principal}-key.pem",
        )

    def settings(self, principals: Mapping[str, PrincipalEntry]) -> str:
        """Give the broker's settings, all but its listeners' addresses.

        Nobody is let in unnamed, on no listener: the broker shows a certificate even to itself.
        What no rule allows is refused.
        """
        superusers = [BROKER, *(n for n, entry in principals.items() if entry.superuser)]
        folder = self.folder.name
        return "\n".join(
            (
                "listener.security.protocol.map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:SSL",
                "inter.broker.listener.name=SSL",
                "ssl.keystore.type=PEM",
                f"ssl.keystore.location={folder}/{KEYSTORE}",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={folder}/ca.pem",
                "listener.name.ssl.ssl.client.auth=required",
                "listener.name.controller.ssl.client.auth=required",
                # a certificate's common name is its principal, as a SCRAM user's name is
                "ssl.principal.mapping.rules=RULE:^CN=([a-z][a-z0-9-]*)$/$1/,DEFAULT",
                f"listener.name.sasl_ssl.sasl.enabled.mechanisms={SASL_MECHANISM}",
                f"listener.name.sasl_ssl.{SASL_MECHANISM.lower()}.sasl.jaas.config={LOGIN_MODULE};",
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "allow.everyone.if.no.acl.found=false",
                "super.users=" + ";".join(f"User:{name}" for name in superusers),
                "",
            )
        )
