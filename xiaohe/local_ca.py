"""A certificate authority of one's own, in a folder: for one machine, or a test.

``LocalCa.at(folder)`` makes it the first time and finds it again. It vouches for servers by the
hosts they are reached at, and for clients by a common name. All files are PEM, readable by their
owner alone; a private key is written without a passphrase, for whoever may read the file may use
it. Whoever runs a cluster of several machines has an authority already, and needs none of this.
"""

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_VALID: Final = dt.timedelta(days=3650)
"""An authority outlives what it vouches for; ten years is what such authorities usually have."""

CERTIFICATE_VALID: Final = dt.timedelta(days=825)
"""The longest that common clients take of a server."""

RENEW_BEFORE: Final = dt.timedelta(days=30)
"""A certificate that ends so soon is issued anew when it is asked for."""

BACKDATED: Final = dt.timedelta(minutes=5)
"""Begins a little in the past, for a neighbour whose clock is behind."""

SECRET_MODE: Final = 0o600


class LocalCaError(Exception):
    """The authority's files cannot be read or written; the message says what to do."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """One certificate and its private key.

    Attributes
    ----------
    cert : PEM, the certificate alone.
    key : PEM, PKCS #8 without a passphrase.
    """

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class LocalCa:
    """An authority in a folder: ``ca.pem`` to be handed out, ``ca-key.pem`` to be kept."""

    folder: Path

    @classmethod
    def at(cls, folder: Path, name: str = "Xiaohe local CA") -> Self:
        """Find the authority of a folder; make it where there is none. Raises LocalCaError."""
        found = cls(folder)
        if found.ca.exists():
            return found
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as fault:
            raise LocalCaError(f"{folder} cannot be made: {fault.strerror}") from fault
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = (
            _begun(subject, subject, key, CA_VALID)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
        )
        write_secret(found._key_file, _pem(key))
        write_secret(found.ca, _public_pem(builder.sign(key, hashes.SHA256())))
        return found

    @property
    def ca(self) -> Path:
        """The authority's own certificate, which whoever is to trust it is given."""
        return self.folder / "ca.pem"

    @property
    def _key_file(self) -> Path:
        return self.folder / "ca-key.pem"

    def server(
        self, stem: str, hosts: Sequence[str], *, valid: dt.timedelta = CERTIFICATE_VALID
    ) -> CertificateFiles:
        """Give the certificate of a server that is reached at ``hosts`` (names or addresses).

        ``stem`` names its files, and the server. One that is there is kept while it lasts and
        names these hosts. Raises LocalCaError.
        """
        assert hosts, "a server is reached somewhere"
        wanted = x509.SubjectAlternativeName([_host(host) for host in hosts])
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issued(stem, wanted, usages, valid)

    def client(self, stem: str, *, valid: dt.timedelta = CERTIFICATE_VALID) -> CertificateFiles:
        """Give the certificate of a client called ``stem``, which also names its files.

        One that is there is kept while it lasts. Raises LocalCaError.
        """
        return self._issued(stem, None, [ExtendedKeyUsageOID.CLIENT_AUTH], valid)

    def _issued(
        self,
        stem: str,
        hosts: x509.SubjectAlternativeName | None,
        usages: Sequence[x509.ObjectIdentifier],
        valid: dt.timedelta,
    ) -> CertificateFiles:
        files = CertificateFiles(self.folder / f"{stem}.pem", self.folder / f"{stem}-key.pem")
        if files.key.exists() and _lasts(files.cert, hosts):
            return files
        ca, ca_key = self._authority()
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _begun(_name(stem), ca.subject, key, valid)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                critical=False,
            )
        )
        if hosts is not None:
            builder = builder.add_extension(hosts, critical=False)
        write_secret(files.key, _pem(key))
        write_secret(files.cert, _public_pem(builder.sign(ca_key, hashes.SHA256())))
        return files

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        try:
            ca = x509.load_pem_x509_certificate(self.ca.read_bytes())
            key = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as fault:
            raise LocalCaError(
                f"the authority in {self.folder} cannot be read ({fault}): "
                "remove that folder, and it is made anew with all its certificates"
            ) from fault
        assert isinstance(key, ec.EllipticCurvePrivateKey), "this authority's keys are of one kind"
        return ca, key


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read, whole or not at all. Raises LocalCaError."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        # Made with its mode: nobody can open it between its making and a chmod.
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        new.replace(path)
    except OSError as fault:
        raise LocalCaError(f"{path} cannot be written: {fault.strerror}") from fault


def ends_at(cert: Path) -> dt.datetime:
    """Give when a certificate ends. Raises ValueError, OSError."""
    return x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc


def _lasts(cert: Path, hosts: x509.SubjectAlternativeName | None) -> bool:
    try:
        found = x509.load_pem_x509_certificate(cert.read_bytes())
    except (OSError, ValueError):
        return False
    if found.not_valid_after_utc - _now() < RENEW_BEFORE:
        return False
    try:
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return hosts is None
    return named == hosts


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: dt.timedelta
) -> x509.CertificateBuilder:
    now = _now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + valid) - BACKDATED)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
