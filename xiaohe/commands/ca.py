"""``xiaohe ca create|issue|show``: an authority of one's own, and a QR code of it for phones."""

from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cyclopts import Parameter

from xiaohe.commands.options import DataDir, Json
from xiaohe.local_ca import LocalCa, LocalCaError, ends_at
from xiaohe.output import note, say, say_json
from xiaohe.places import DATA_DIR, FileUnwritable


def ca_folder(data_dir: Path) -> Path:
    """Give the folder of the authority."""
    return data_dir / "ca"


def create_(*, data_dir: DataDir = DATA_DIR, json: Json = False) -> int:
    """Make the authority; nothing where there is one. Its key stays in the data folder."""
    ca = LocalCa.at(ca_folder(data_dir))
    _tell(ca, json=json)
    return 0


def issue_(*hosts: str, data_dir: DataDir = DATA_DIR, json: Json = False) -> int:
    """Issue the gateway's certificate, for the names and addresses that it is reached at.

    One that is there is kept while it lasts and names these hosts.
    """
    if not hosts:
        raise LocalCaError("name where the gateway is reached, such as: xiaohe ca issue 192.0.2.10")
    files = LocalCa.at(ca_folder(data_dir)).server("gateway", hosts)
    ends = ends_at(files.cert).date().isoformat()
    if json:
        say_json({"cert": str(files.cert), "key": str(files.key), "ends": ends})
    else:
        say(f"--tls-cert {files.cert} --tls-key {files.key}")
        note(f"for {', '.join(hosts)}, until {ends}; issue it again before")
    return 0


def show_(
    *,
    base: str | None = None,
    png: Annotated[Path | None, Parameter(help="Write the QR code into this file as well.")] = None,
    data_dir: DataDir = DATA_DIR,
    json: Json = False,
) -> int:
    """Show the authority's fingerprint, and a QR code by which a phone gets its certificate.

    Parameters
    ----------
    base
        Where phones reach the gateway, such as https://192.0.2.10:8443; it serves /ca.pem.
    """
    folder = ca_folder(data_dir)
    ca = LocalCa(folder)
    if not ca.ca.exists():
        raise LocalCaError(f"there is no authority in {folder}: `xiaohe ca create` makes one")
    _tell(ca, json=json)
    if base is None:
        note("give --base https://HOST:PORT for a QR code that phones can open")
        return 0
    import segno  # noqa: PLC0415 - seldom

    url = f"{base.rstrip('/')}/ca.pem"
    code = segno.make(url, error="m")
    if png is not None:
        try:
            code.save(str(png), kind="png", scale=8)
        except OSError as fault:
            raise FileUnwritable(f"{png}: {fault.strerror}: name another file") from None
    if not json:
        say(url)
        code.terminal(compact=True)
        note("compare the fingerprint on the phone before it is trusted")
    return 0


def fingerprint(certificate: Path) -> str:
    """Give the SHA-256 of a certificate, as phones show it. Raises LocalCaError."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as fault:
        raise LocalCaError(f"{certificate} cannot be read as a certificate: {fault}") from None
    return found.fingerprint(SHA256()).hex(":").upper()


def _tell(ca: LocalCa, *, json: bool) -> None:
    told = {"ca": str(ca.ca), "sha256": fingerprint(ca.ca)}
    if json:
        say_json(told)
    else:
        say(f"{ca.ca}\nSHA-256 {told['sha256']}")
