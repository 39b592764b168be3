"""``xiaohe device test``: the last message of a device, and what the gateway made of it."""

from typing import Any, Final
from urllib.parse import quote

import httpx

from xiaohe.commands.options import DEFAULT_HTTP, Json
from xiaohe.commands.positions import TokenFile, Url
from xiaohe.output import say, say_json
from xiaohe.places import read_file

ANSWER_TIMEOUT_S: Final = 15.0
"""How long a gateway may take: it fetches the message from the broker."""

RAW_SHOWN: Final = "the message as it came (it says where somebody is):"


class DeviceUntold(Exception):
    """A gateway does not tell of a device; the message says what it answered."""


def test_(
    device: str,
    *,
    url: Url = f"http://{DEFAULT_HTTP}",  # noqa: PT028 - a command, no test
    token_file: TokenFile = None,  # noqa: PT028
    json: Json = False,  # noqa: PT028
) -> int:
    """Show a device's last message, what was made of it, or why it was refused.

    It is asked of a running gateway, for it alone has heard what came through its own doors, and
    it fetches what came through a raw topic from there: the message goes to this terminal and is
    kept nowhere for it. Whoever asks needs the right to manage devices. Exit status 1 where the
    device is nobody's, or its last message was refused.

    Parameters
    ----------
    device
        What the device calls itself.
    """
    token = None if token_file is None else read_file(token_file).decode().strip()
    found = _asked(url, device, token)
    if json:
        say_json(found)
    else:
        say("\n".join(_lines(found)))
    return 0 if _is_well(found) else 1


def _asked(url: str, device: str, token: str | None) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    path = f"{url.rstrip('/')}/v1/devices/{quote(device, safe='')}"
    try:
        answer = httpx.get(path, headers=headers, timeout=ANSWER_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        raise DeviceUntold(f"no gateway answers at {url} ({fault}): name it with --url") from None
    if answer.status_code == httpx.codes.OK:
        told: dict[str, Any] = answer.json()
        return told
    try:
        why = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        why = "nothing that can be read"
    hint = "; show a token with --token-file" if answer.status_code in (401, 403) else ""
    raise DeviceUntold(f"the gateway answers {answer.status_code}: {why}{hint}")


def _is_well(found: dict[str, Any]) -> bool:
    message = found.get("last_message") or {}
    return bool(found.get("member_id")) and not any("refused" in r for r in message.get("read", ()))


def _lines(found: dict[str, Any]) -> list[str]:
    message = found.get("last_message")
    figures = {name: value for name, value in found.items() if name != "last_message"}
    lines = [f"{name:20} {_told(value)}" for name, value in figures.items()]
    if message is None:
        return [*lines, "its last message is kept no more"]
    lines += ["", f"last message, through {message['door']} at {message['received_at']}"]
    for read in message["read"]:
        for kind, what in read.items():
            if what is not None:
                lines.append(f"  {kind:10} {_fields(what)}")
    return [*lines, "", RAW_SHOWN, message["raw"]]


def _fields(what: object) -> str:
    if isinstance(what, dict):
        return ", ".join(f"{name} {value}" for name, value in what.items())
    return str(what)


def _told(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
