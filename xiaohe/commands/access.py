"""``xiaohe access …``: who may come in at the gateway's doors; it follows without a restart."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import msgspec
from cyclopts import Parameter

from xiaohe.commands.clusters import cluster_of
from xiaohe.commands.options import NOTHING_SAID, DataDir, Json, Kafka, SecretFile, Servers
from xiaohe.logs import log_to_stderr
from xiaohe.output import note, say, say_json
from xiaohe.places import DATA_DIR
from xiaohe.topics import ACCESS_KEEPER, load_topics

if TYPE_CHECKING:
    from xiaohe.access_register import Register

_T = TypeVar("_T")

Who = Annotated[str, Parameter(help="KIND:ID, such as member:m-07, operator:lin, device:t-3.")]


def add_(
    name: str,
    *,
    role: str,
    area: tuple[str, ...] = (),
    every_area: bool = False,
    scope: tuple[str, ...] = (),
    oidc_subject: str | None = None,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
    json: Json = False,
) -> int:
    """Add somebody or something, or change what they are; their keys and PIN stay.

    Parameters
    ----------
    name
        Their id: a member's member_id, a device's device_id, an operator's operator_id.
    role
        member, squad_leader, squadron_leader; duty_lead, police_room, department,
        community_office, auditor; service; device.
    area
        Areas that they are let in for; several times for several. Members' are the roster's.
    every_area
        Every area, those to come as well.
    scope
        What a service may, such as alert.report; several times for several.
    oidc_subject
        What the identity provider calls them.
    """
    from xiaohe.access_register import RegisterError  # noqa: PLC0415 - slow to load
    from xiaohe.gateway.access.principal import Change, Role  # noqa: PLC0415 - the same
    from xiaohe.gateway.access.records import Account, key_of, kind_of_role  # noqa: PLC0415

    if role not in get_args(Role):
        raise RegisterError(f"{role!r} is no role: one of {', '.join(get_args(Role))}")
    unknown = sorted(set(scope) - {str(change) for change in Change})
    if unknown:
        raise RegisterError(f"{unknown} are no scopes: some of {', '.join(Change)}")
    if scope and role != "service":
        raise RegisterError("scopes are for services: what others may follows from their role")
    key = key_of(kind_of_role(role), name)
    said = {
        "role": role,
        "area_ids": None if every_area or role == "device" else area,
        "scopes": scope,
        "oidc_subject": oidc_subject,
    }
    try:
        msgspec.convert({"role": role, "area_ids": [name, *area]}, Account)
    except msgspec.ValidationError:
        raise RegisterError("ids have 1 to 64 letters, digits and . _ : -") from None

    async def put(register: "Register") -> None:
        known = register.directory.account(key)
        account = Account(**said) if known is None else msgspec.structs.replace(known, **said)
        await register.put(key, account, "added" if known is None else "changed")

    _do(put, bootstrap_servers, kafka, data_dir, secret_file)
    _tell(json, {"account": key}, f"{key} is {role}")
    return 0


def list_(
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
    json: Json = False,
) -> int:
    """Show who may come in, and as what; no secret is shown, for none is kept."""

    async def accounts(register: "Register") -> dict[str, Any]:
        return dict(register.directory.accounts())

    for key, account in _do(accounts, bootstrap_servers, kafka, data_dir, secret_file).items():
        ways = [
            way
            for way, there in (
                ("pin", account.pin), ("password", account.password),
                ("oidc", account.oidc_subject), (f"{len(account.keys)} keys", account.keys),
                (f"key {account.generation}", account.role == "device"),
            )
            if there
        ]  # fmt: skip
        areas = "every area" if account.area_ids is None else ", ".join(account.area_ids)
        told = {
            "account": key,
            "role": account.role,
            "area_ids": account.area_ids,
            "scopes": account.scopes,
            "ways_in": ways,
        }
        line = f"{key:28} {account.role:16} {areas or '-':20} {', '.join(ways) or '-'}"
        _tell(json, told, line)
    return 0


def remove_(
    who: Who,
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
) -> int:
    """Let somebody in no more: their sessions, links and keys count no longer, at once."""

    async def remove(register: "Register") -> None:
        register.get(who)
        await register.put(who, None, "removed")

    _do(remove, bootstrap_servers, kafka, data_dir, secret_file)
    note(f"{who} is let in no more")
    return 0


def out_(
    who: Who,
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
) -> int:
    """End somebody's sessions and links, as after a lost phone; they may log in again."""

    async def end(register: "Register") -> None:
        await register.end_sessions(who)

    _do(end, bootstrap_servers, kafka, data_dir, secret_file)
    note(f"{who} has to log in again")
    return 0


def key_(
    who: Who,
    *,
    renew: bool = False,
    overlap_s: float = 86_400.0,
    qr: bool = False,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
    json: Json = False,
) -> int:
    """Show a device's key, or give a service another one, which is shown this once.

    Parameters
    ----------
    renew
        A device gets its next key; a service's other keys count no more.
    overlap_s
        So long a device's key from before still counts.
    qr
        Show it as a QR code as well.
    """

    async def key(register: "Register") -> str:
        if who.startswith("device:"):
            return await register.device_key(who, renew=renew, overlap_s=overlap_s)
        return await register.new_key(who, alone=renew)

    made = _do(key, bootstrap_servers, kafka, data_dir, secret_file)
    _tell(json, {"account": who, "key": made}, made)
    if qr and not json:
        _show_qr(made)
    return 0


def link_(
    who: Who,
    *,
    base: str | None = None,
    qr: bool = False,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
    json: Json = False,
) -> int:
    """Sign a login link: it counts once, for a quarter of an hour.

    Parameters
    ----------
    base
        Where people reach the gateway, such as https://xiaohe.example.org; else where it runs here.
    qr
        Show it as a QR code as well.
    """
    from xiaohe.stack import read_record  # noqa: PLC0415 - slow to load

    async def link(register: "Register") -> str:
        return await register.link(who)

    token = _do(link, bootstrap_servers, kafka, data_dir, secret_file)
    running = read_record(data_dir)
    here = f"http://{'127.0.0.1:8080' if running is None else running['http']}"
    url = f"{(base or here).rstrip('/')}/v1/login/link?token={token}"
    _tell(json, {"account": who, "link": url}, url)
    if qr and not json:
        _show_qr(url)
    return 0


def pin_(
    who: Who,
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
    json: Json = False,
) -> int:
    """Give a member another PIN, by chance; it is shown this once."""
    from xiaohe.gateway.access.passwords import Hashes  # noqa: PLC0415 - slow to load

    async def pin(register: "Register") -> str:
        return await register.new_pin(who, Hashes())

    made = _do(pin, bootstrap_servers, kafka, data_dir, secret_file)
    _tell(json, {"account": who, "pin": made}, made)
    return 0


def password_(
    who: Who,
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
) -> int:
    """Give an operator another password, asked for here or read from standard input."""
    from xiaohe.access_register import RegisterError  # noqa: PLC0415 - slow to load
    from xiaohe.gateway.access.passwords import Hashes, password_fault  # noqa: PLC0415 - the same

    if sys.stdin.isatty():
        password = getpass.getpass("password: ")
        if getpass.getpass("once more: ") != password:
            raise RegisterError("the two are not the same: nothing was changed")
    else:
        password = sys.stdin.readline().rstrip("\n")
    fault = password_fault(password)
    if fault is not None:
        raise RegisterError(f"{fault}: nothing was changed")

    async def change(register: "Register") -> None:
        await register.new_password(who, password, Hashes())

    _do(change, bootstrap_servers, kafka, data_dir, secret_file)
    note(f"{who} has another password")
    return 0


def rotate_(
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    secret_file: SecretFile = None,
) -> int:
    """Let new keys sign the tokens; those signed before count until their time is over."""

    async def rotate(register: "Register") -> int:
        return await register.rotate()

    generation = _do(rotate, bootstrap_servers, kafka, data_dir, secret_file)
    note(f"tokens are signed with keys of generation {generation}")
    return 0


def _do(
    what: "Callable[[Register], Awaitable[_T]]",
    bootstrap_servers: str | None,
    kafka: Kafka,
    data_dir: Path,
    secret_file: Path | None,
) -> _T:
    """Do something with the register, read whole."""
    from xiaohe.access_register import opened  # noqa: PLC0415 - slow to load
    from xiaohe.gateway.access.secret import open_secret  # noqa: PLC0415 - the same

    log_to_stderr()  # standard output is for what was asked for: a PIN, a key
    cluster = cluster_of(bootstrap_servers, data_dir, kafka, ACCESS_KEEPER)
    secret = open_secret(secret_path(data_dir, secret_file))

    async def done() -> _T:
        async with opened(cluster, load_topics(), secret) as register:
            return await what(register)

    return asyncio.run(done())


def secret_path(data_dir: Path, secret_file: Path | None) -> Path:
    """Give the file of the gateway's secret."""
    return secret_file or data_dir / "access" / "secret"


def _tell(json: bool, told: object, line: str) -> None:
    if json:
        say_json(told)
    else:
        say(line)


def _show_qr(text: str) -> None:
    """Draw a QR code in the terminal."""
    import segno  # noqa: PLC0415 - seldom

    with suppress(UnicodeEncodeError):  # a terminal without block characters
        segno.make(text, error="l").terminal(compact=True)
