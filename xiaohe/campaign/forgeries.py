"""``python -m xiaohe.campaign.forgeries``: forged and replayed messages of devices at the keeper.

Somebody who has overheard whole messages, who has a key that was replaced, who has a device of
their own, tries whatever can be tried. Between the forgeries come genuine messages, which have to
be let in: a keeper that lets nobody in would refuse every forgery too. Now and then the gateway is
restarted, with what was overheard before still in the air. Time is that of the run, not the wall.
"""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from cyclopts import App

from xiaohe.dispatch.policy import load_policy
from xiaohe.gateway.access.devices import (
    AHEAD_S,
    DEVICE,
    PAST_S,
    SEQUENCE,
    SIGNATURE,
    TIME,
    Refused,
    device_key,
    signature_of,
)
from xiaohe.gateway.access.directory import Directory
from xiaohe.gateway.access.keeper import Keeper
from xiaohe.gateway.access.principal import Unauthenticated
from xiaohe.gateway.access.records import Account, key_of
from xiaohe.gateway.access.secret import Secret
from xiaohe.gateway.known import Known
from xiaohe.gateway.parts import Parts
from xiaohe.output import note, say, say_json
from xiaohe.places import POLICY
from xiaohe.topics import load_topics

COUNT: Final = 1_000_000

DEVICES: Final = 50
"""A brigade's."""

RENEWED_EVERY: Final = 5
"""Every fifth device has another key than it had; the one before counts no more."""

OVERHEARD_MAX: Final = 500
"""Messages that the forger remembers, the newest: some are in time still, most are not."""

GENUINE_EVERY: Final = 20
"""One message in so many is genuine."""

RESTART_EVERY: Final = 20_000
"""Messages between two restarts of the gateway."""

STEP_MS_MAX: Final = 200
"""Time between two messages, at most."""

BEGUN_MS: Final = 1_780_000_000_000
PATHS: Final = ("/v1/positions", "/v1/alerts")

EXIT_HOLDS, EXIT_DOES_NOT_HOLD = 0, 1

app = App(name="xiaohe.campaign.forgeries", help="Forged and replayed messages of devices.")


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it comes to the door."""

    device_id: str
    sequence: str
    time: str
    signature: str
    body: bytes
    path: str
    query: str = ""
    method: str = "POST"
    received_ms: int = 0
    peer: str = "192.0.2.7"

    def header(self, name: str) -> str | None:
        """Give the first header of this name."""
        held = {
            DEVICE: self.device_id,
            SEQUENCE: self.sequence,
            TIME: self.time,
            SIGNATURE: self.signature,
        }
        return held.get(name.lower())

    def signed(self, key: bytes) -> "Message":
        """Give it with the signature of a key."""
        target = self.path + (f"?{self.query}" if self.query else "")
        said = (self.device_id, self.sequence, self.time, self.method, target, self.body)
        return replace(self, signature=signature_of(key, *said))


@dataclass(slots=True)
class World:
    """A gateway, its devices, and who listens on the way."""

    chance: Random
    now_ms: int = BEGUN_MS
    secret: Secret = field(init=False)
    directory: Directory = field(init=False)
    keeper: Keeper = field(init=False)
    last: Counter[str] = field(default_factory=Counter)
    heard: set[int] = field(default_factory=set)
    overheard: deque[Message] = field(default_factory=lambda: deque(maxlen=OVERHEARD_MAX))

    def __post_init__(self) -> None:
        """Make the devices, and start the gateway."""
        self.secret = Secret(self.chance.randbytes(32))
        self.start()

    def start(self) -> None:
        """Start the gateway (again): it knows the devices, and nothing of what they have sent."""
        parts = Parts(
            cluster="127.0.0.1:1",
            topics=load_topics(),
            known=Known(load_policy(POLICY.read_bytes()), ()),
            now_ms=lambda: self.now_ms,
            secret=self.secret,
        )
        assert parts.keeper is not None, "there is a secret"
        self.heard.clear()
        self.keeper = parts.keeper
        for n in range(DEVICES):
            account = Account(role="device", area_ids=None, generation=self.generation(n))
            self.keeper.directory.put(key_of("device", f"t-{n}"), account)

    @staticmethod
    def generation(n: int) -> int:
        """Give which key a device has."""
        return 1 if n % RENEWED_EVERY == 0 else 0

    def key(self, n: int) -> bytes:
        """Give a device's key."""
        return device_key(self.secret, f"t-{n}", self.generation(n))

    def fresh(self, n: int, time_ms: int | None = None) -> Message:
        """Give a device's next message, not signed yet."""
        sequence = self.last[f"t-{n}"] + 1
        return Message(
            device_id=f"t-{n}",
            sequence=str(sequence),
            time=str(self.now_ms if time_ms is None else time_ms),
            signature="",
            body=b'{"lon":120.14,"lat":30.31,"n":%d}' % sequence,
            path=self.chance.choice(PATHS),
        )

    def genuine(self) -> Message:
        """Give a message as a device sends it; somebody overhears it."""
        n = self.chance.randrange(DEVICES)
        message = self.fresh(n).signed(self.key(n))
        self.last[message.device_id] += 1
        self.heard.add(n)
        self.overheard.append(message)
        return message

    def one_overheard(self) -> Message:
        """Give what somebody overheard."""
        return self.chance.choice(self.overheard)

    async def lets_in(self, message: Message) -> str | None:
        """Bring a message to the door; None where it is let in, else why not."""
        try:
            await self.keeper.identify(replace(message, received_ms=self.now_ms))
        except Refused as refused:
            return refused.reason
        except Unauthenticated:
            return "unauthenticated"
        return None


def _again(world: World) -> Message:
    return world.one_overheard()


def _other_body(world: World) -> Message:
    heard = world.one_overheard()
    at = world.chance.randrange(len(heard.body))
    flipped = bytes([heard.body[at] ^ (1 << world.chance.randrange(8))])
    body = heard.body[:at] + flipped + heard.body[at + 1 :]
    return replace(heard, body=body)


def _longer_body(world: World) -> Message:
    heard = world.one_overheard()
    return replace(heard, body=heard.body + world.chance.randbytes(world.chance.randint(1, 80)))


def _other_path(world: World) -> Message:
    heard = world.one_overheard()
    return replace(heard, path=PATHS[1 - PATHS.index(heard.path)])


def _other_query(world: World) -> Message:
    return replace(world.one_overheard(), query="device_id=t-1")


def _other_method(world: World) -> Message:
    return replace(world.one_overheard(), method="PUT")


def _later(world: World, heard: Message | None = None) -> Message:
    """A message with the next sequence and the time of now, its old signature kept."""
    heard = heard or world.one_overheard()
    sequence = str(world.last[heard.device_id] + 1)
    return replace(heard, sequence=sequence, time=str(world.now_ms))


def _time_alone(world: World) -> Message:
    heard = world.one_overheard()
    return replace(heard, time=str(world.now_ms + world.chance.randint(1, 1000)))


def _sequence_written_otherwise(world: World) -> Message:
    heard = world.one_overheard()
    return replace(heard, sequence=f"{world.chance.choice(('0', '00', ' ', '+'))}{heard.sequence}")


def _other_device(world: World) -> Message:
    heard = world.one_overheard()
    n = world.chance.randrange(DEVICES)
    other = replace(heard, device_id=f"t-{n}")
    return other if other != heard else replace(heard, device_id="t-x")


def _spoilt_signature(world: World) -> Message:
    heard = _fresh(world)
    at = world.chance.randrange(64)
    digit = format(int(heard.signature[at], 16) ^ world.chance.randint(1, 15), "x")
    return replace(heard, signature=heard.signature[:at] + digit + heard.signature[at + 1 :])


def _cut_signature(world: World) -> Message:
    heard = _fresh(world)
    return replace(heard, signature=heard.signature[: world.chance.randrange(64)])


def _fresh(world: World) -> Message:
    """What the device itself would sign next: not to be sent as it is."""
    n = world.chance.randrange(DEVICES)
    return world.fresh(n).signed(world.key(n))


def _guessed_key(world: World) -> Message:
    return world.fresh(world.chance.randrange(DEVICES)).signed(world.chance.randbytes(32))


def _own_devices_key(world: World) -> Message:
    """Somebody has the first device, and speaks for another."""
    return world.fresh(world.chance.randrange(1, DEVICES)).signed(world.key(0))


def _replaced_key(world: World) -> Message:
    n = world.chance.randrange(0, DEVICES, RENEWED_EVERY)
    return world.fresh(n).signed(device_key(world.secret, f"t-{n}", 0))


def _next_key(world: World) -> Message:
    n = world.chance.randrange(DEVICES)
    return world.fresh(n).signed(device_key(world.secret, f"t-{n}", world.generation(n) + 1))


def _held_back(world: World) -> Message:
    """Signed by the device, and kept on the way for too long."""
    n = world.chance.randrange(DEVICES)
    old_ms = world.now_ms - PAST_S * 1000 - world.chance.randint(1, 86_400_000)
    return world.fresh(n, old_ms).signed(world.key(n))


def _from_the_future(world: World) -> Message:
    n = world.chance.randrange(DEVICES)
    ahead_ms = world.now_ms + AHEAD_S * 1000 + world.chance.randint(1, 86_400_000)
    return world.fresh(n, ahead_ms).signed(world.key(n))


def _overtaken(world: World) -> Message:
    """Signed by the device, with a sequence that it has used or passed since the last start.

    What it signs now with an old sequence, and is the first that a started gateway hears of it, is
    no forgery: only the device can have signed it, and only now.
    """
    if not world.heard:
        return _held_back(world)
    n = world.chance.choice(sorted(world.heard))
    message = world.fresh(n)
    return replace(message, sequence=str(world.chance.randint(0, world.last[f"t-{n}"]))).signed(
        world.key(n)
    )


def _unknown_device(world: World) -> Message:
    name = f"x-{world.chance.randrange(10**6)}"
    key = device_key(world.secret, name, 0)
    return replace(world.fresh(0), device_id=name).signed(key)


def _noise(world: World) -> Message:
    letters = [world.chance.randbytes(world.chance.randrange(40)).decode("latin-1") for _ in "123"]
    return replace(
        world.one_overheard(), sequence=letters[0], time=letters[1], signature=letters[2]
    )


FORGERIES: Final[Mapping[str, Callable[[World], Message]]] = {
    "again": _again,
    "other body": _other_body,
    "longer body": _longer_body,
    "other path": _other_path,
    "other query": _other_query,
    "other method": _other_method,
    "sequence and time of now": _later,
    "time alone": _time_alone,
    "sequence written otherwise": _sequence_written_otherwise,
    "other device": _other_device,
    "spoilt signature": _spoilt_signature,
    "cut signature": _cut_signature,
    "guessed key": _guessed_key,
    "own device's key": _own_devices_key,
    "replaced key": _replaced_key,
    "next key": _next_key,
    "held back": _held_back,
    "from the future": _from_the_future,
    "overtaken": _overtaken,
    "unknown device": _unknown_device,
    "noise": _noise,
}
"""What is tried, all by turns of chance."""


@dataclass(slots=True)
class Tally:
    """What came of it: ``let_in`` of the forged ones, ``kept_out`` of the genuine ones."""

    forged: int = 0
    genuine: int = 0
    restarts: int = 0
    let_in: list[str] = field(default_factory=list)
    kept_out: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        """Whether nothing forged was let in, and nothing genuine kept out."""
        return not self.let_in and not self.kept_out


async def tried(seed: int, count: int, until: Callable[[], bool] = lambda: False) -> Tally:
    """Try so many forgeries, or until it is time."""
    chance = Random(seed)  # noqa: S311 - a run must be repeatable
    world, tally = World(chance), Tally()
    names = tuple(FORGERIES)
    world.now_ms += (AHEAD_S + 1) * 1000
    restart_at = RESTART_EVERY
    while tally.forged < count and not until():
        world.now_ms += chance.randint(0, STEP_MS_MAX)
        if not world.overheard or chance.randrange(GENUINE_EVERY) == 0:
            tally.genuine += 1
            why = await world.lets_in(world.genuine())
            if why is not None:
                tally.kept_out.append(why)
            continue
        name = chance.choice(names)
        why = await world.lets_in(FORGERIES[name](world))
        tally.forged += 1
        tally.kinds[name] += 1
        tally.reasons[why or "let in"] += 1
        if why is None:
            tally.let_in.append(name)
        if tally.forged >= restart_at:
            await _restarted(world, tally)
            restart_at = tally.forged + RESTART_EVERY
    return tally


async def _restarted(world: World, tally: Tally) -> None:
    """Start the gateway again, and send all that was overheard while it refuses devices."""
    world.start()
    tally.restarts += 1
    for _ in range(AHEAD_S + 1):
        for message in list(world.overheard):
            tally.forged += 1
            tally.kinds["again, after a restart"] += 1
            why = await world.lets_in(message)
            tally.reasons[why or "let in"] += 1
            if why is None:
                tally.let_in.append("again, after a restart")
        world.now_ms += 1_000


@app.default
def run(*, count: int = COUNT, minutes: float = 60.0, seed: int = 1, json: bool = False) -> int:
    """Try forgeries until there were so many, or for so long.

    Parameters
    ----------
    count
        Forged or replayed messages.
    minutes
        It ends after so long, whatever the count.
    seed
        The same seed tries the same.
    """
    begun_s = time.monotonic()
    tally = asyncio.run(tried(seed, count, lambda: time.monotonic() - begun_s > minutes * 60))
    told = {
        "forged": tally.forged,
        "let_in": len(tally.let_in),
        "genuine": tally.genuine,
        "kept_out": len(tally.kept_out),
        "restarts": tally.restarts,
        "seconds": round(time.monotonic() - begun_s, 1),
        "kinds": dict(tally.kinds),
        "reasons": dict(tally.reasons),
    }
    if json:
        say_json(told)
    else:
        for name, value in told.items():
            say(f"{name:10} {value}")
    if not tally.holds:
        note(f"let in: {Counter(tally.let_in)}; kept out: {Counter(tally.kept_out)}; seed {seed}")
    return EXIT_HOLDS if tally.holds else EXIT_DOES_NOT_HOLD


if __name__ == "__main__":
    sys.exit(app())
