"""A recorded track driven again: its fixes sent to a gateway as if they were taken now.

They go through the gateway's own door, not onto a topic: so they are permitted, resolved, checked
and packed as any device's are, and whoever replays needs an address and a token, and no Kafka.
"""

import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import orjson

from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.positions.raw_fix import RawFix

DOOR: Final = "/v1/positions"

ANSWER_TIMEOUT_S: Final = 10.0
"""How long the gateway may take; it waits 5 s for the broker itself."""

TRIES_MAX: Final = 5
"""Sendings of one message while the gateway says that it cannot take it now."""

TRY_AGAIN_S: Final = 1.0

MESSAGE_FIXES_MAX: Final = 500
"""Fixes of a message: half of what the contract takes, so that the longest names fit as well."""

GATHERED_MS: Final = 100
"""Fixes that are due so close together go in one message."""


class ReplayRefused(Exception):
    """The gateway does not take the track; the message says what it answered."""


@dataclass(frozen=True, slots=True)
class Due:
    """Fixes that are sent together, and when: ms from the beginning."""

    after_ms: int
    fixes: tuple[RawFix, ...]


def schedule(fixes: Sequence[RawFix], speed: float) -> Iterator[Due]:
    """Give the fixes in the order of their times, ``speed`` times as fast as they were taken."""
    ordered = sorted(fixes, key=lambda fix: fix.fix_ms)
    together: list[RawFix] = []
    began_ms = 0
    for fix in ordered:
        after_ms = _after_ms(fix, ordered[0], speed)
        is_full = len(together) == MESSAGE_FIXES_MAX
        if together and (is_full or after_ms - began_ms > GATHERED_MS):
            yield Due(_after_ms(together[-1], ordered[0], speed), tuple(together))
            together = []
        if not together:
            began_ms = after_ms
        together.append(fix)
    if together:
        yield Due(_after_ms(together[-1], ordered[0], speed), tuple(together))


def _after_ms(fix: RawFix, first: RawFix, speed: float) -> int:
    return round((fix.fix_ms - first.fix_ms) / speed)


def as_position(fix: RawFix, fix_ms: int, speed: float) -> dict[str, object]:
    """Write a fix as the contract does, with a new time; who is replayed faster is faster."""
    stated = {
        "member_id": fix.member_id,
        "device_id": fix.device_id or None,
        "lon": fix.lon,
        "lat": fix.lat,
        "fix_time": rfc3339(fix_ms),
        "datum": None if fix.datum == "wgs84" else fix.datum,
        "accuracy_m": fix.accuracy_m,
        "speed_mps": None if fix.speed_mps is None else fix.speed_mps * speed,
        "course_deg": fix.course_deg,
        "battery": fix.battery,
        "alarm": fix.alarm,
    }
    return {name: item for name, item in stated.items() if item is not None}


@dataclass(slots=True)
class Sent:
    """What a replay came to."""

    accepted: int = 0
    refused: int = 0
    reasons: dict[str, int] | None = None

    def take(self, answer: dict[str, object]) -> None:
        """Add one answer of the gateway."""
        self.reasons = self.reasons or {}
        self.accepted += int(str(answer["accepted"]))
        refused = answer["refused"]
        assert isinstance(refused, list), "the door's own answer"
        for each in refused:
            self.refused += 1
            self.reasons[each["reason"]] = self.reasons.get(each["reason"], 0) + 1


class Gateway:
    """A gateway's door for positions, over one connection that is kept."""

    def __init__(self, url: str, token: str | None) -> None:
        """Take where it is, as http://127.0.0.1:8080. Raises ReplayRefused."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ReplayRefused(f"--url {url}: write http://HOST:PORT or https://HOST")
        made = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = made(parts.hostname, parts.port, timeout=ANSWER_TIMEOUT_S)
        self._path = parts.path.rstrip("/") + DOOR
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"

    def send(self, positions: Sequence[dict[str, object]]) -> dict[str, object]:
        """Send a message; give the answer. Raises ReplayRefused."""
        body = orjson.dumps({"batch": positions})
        for left in range(TRIES_MAX - 1, -1, -1):
            try:
                status, answer = self._answer(body)
            except (OSError, http.client.HTTPException) as fault:
                self._connection.close()
                status, answer = 503, str(fault).encode()
            if status == http.client.OK:
                found: dict[str, object] = orjson.loads(answer)
                return found
            if status != http.client.SERVICE_UNAVAILABLE or left == 0:
                break
            time.sleep(TRY_AGAIN_S)
        text = answer.decode(errors="replace")
        raise ReplayRefused(f"the gateway answers {status}: {text or 'nothing'}")

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def replay(
    fixes: Sequence[RawFix],
    speed: float,
    send: Callable[[Sequence[dict[str, object]]], dict[str, object]],
    now_ms: Callable[[], int],
    wait_ms: Callable[[int], None],
) -> Sent:
    """Send a track as if it were taken now; ``wait_ms`` lets time pass. Raises ReplayRefused."""
    sent, began_ms = Sent(), now_ms()
    ordered = sorted(fixes, key=lambda fix: fix.fix_ms)
    for due in schedule(fixes, speed):
        wait_ms(began_ms + due.after_ms - now_ms())
        sent.take(
            send(
                [
                    as_position(fix, began_ms + _after_ms(fix, ordered[0], speed), speed)
                    for fix in due.fixes
                ]
            )
        )
    return sent
