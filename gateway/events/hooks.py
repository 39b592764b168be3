"""Webhooks: who gets which events where, how far they have got, and what could not be delivered.

All of it lies on three topics, so that a gateway that is started again, or another one, goes on:
``webhooks`` (what is registered), ``webhook-progress`` (the position of each, partition by
partition) and ``webhook-dead-letters``. No secret is on any of them: a webhook's key is derived
from the gateway's own secret and the webhook's id.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Annotated, Final, Literal, TypeVar

import msgspec
import structlog
from aiokafka import ConsumerRecord
from msgspec import Meta, Struct

from xiaohe.dispatch.inputs import Identifier
from xiaohe.gateway.publisher import Record
from xiaohe.topics import Topics

HOOKS_MAX: Final = 200
"""Webhooks of a gateway's cluster: each reads every event of its areas."""

DEAD_LETTERS_KEPT_MAX: Final = 100
"""Newest dead letters of a webhook that can be asked for; the topic has them for 30 days."""

KINDS_MAX: Final = 50
"""Types that a webhook's filter names."""

AREAS_MAX: Final = 1_000
"""Areas that a webhook names; none named is all of them."""

HookTopic = Literal["incident_events", "dispatches", "area_events", "matter_events"]
Form = Literal["cloudevents", "results"]
Kind = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,40}\.([a-z][a-z_]{0,40}|\*)$")]

log = structlog.get_logger()


class Hook(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One registration. ``area_ids`` None is every area; ``types`` empty is every type.

    ``form`` says what is sent: each event as a CloudEvent, or, for the system that ``source``
    names, what became of its alerts, by its mapping file.
    """

    hook_id: Identifier
    url: str
    created_by: str
    created_at: str
    area_ids: tuple[Identifier, ...] | None = None
    topics: tuple[HookTopic, ...] = ("incident_events", "area_events")
    types: tuple[Kind, ...] = ()
    form: Form = "cloudevents"
    source: Identifier | None = None
    disabled: str | None = None
    disabled_at: str | None = None


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a webhook has got in a partition. A replay begins a new ``run``: what an older run
    still writes counts no more."""

    hook_id: str
    partition: int
    position: str
    run: int = 0
    failing_since_ms: int | None = None


class HookLetter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delivery that was given up, and why. The event itself stays in its topic."""

    hook_id: str
    delivery_id: str
    area_id: str
    topic: str
    partition: int
    offset: int
    position: str
    ce_id: str
    reason: str
    at: str
    status: int | None = None
    attempts: int = 0
    first_tried_at: str | None = None


S = TypeVar("S", bound=Struct)


class HookBook:
    """What the three topics say; ``on_change`` is called after each record that changes something
    for those who deliver."""

    def __init__(self) -> None:
        self.hooks: dict[str, Hook] = {}
        self.on_change: Callable[[], None] = lambda: None
        self._progress: dict[tuple[str, int], Progress] = {}
        self._letters: dict[str, deque[HookLetter]] = {}

    def progress(self, hook_id: str, partition: int) -> Progress | None:
        """Give how far a webhook has got in a partition."""
        return self._progress.get((hook_id, partition))

    def letters(self, hook_id: str) -> tuple[HookLetter, ...]:
        """Give a webhook's newest dead letters, oldest first."""
        return tuple(self._letters.get(hook_id, ()))

    def put(self, hook: Hook, begins: Iterable[Progress] = ()) -> None:
        """Take what was just written, before it comes back from the topic."""
        self.hooks[hook.hook_id] = hook
        for each in begins:
            self._progress[each.hook_id, each.partition] = each
        self.on_change()

    def drop(self, hook_id: str) -> None:
        """Forget a webhook that was just taken away."""
        self.hooks.pop(hook_id, None)
        self._letters.pop(hook_id, None)
        for key in [key for key in self._progress if key[0] == hook_id]:
            del self._progress[key]
        self.on_change()

    def take_hook(self, record: ConsumerRecord) -> None:
        """Take a record of ``webhooks``."""
        hook_id = (record.key or b"").decode(errors="replace")
        hook = _read(record, Hook)
        if hook is not None:
            self.hooks[hook.hook_id] = hook
            self.on_change()
        elif record.value is None:
            self.drop(hook_id)

    def take_progress(self, record: ConsumerRecord) -> None:
        """Take a record of ``webhook-progress``; one of an older run counts no more."""
        found = _read(record, Progress)
        if found is None:
            return
        key = (found.hook_id, found.partition)
        known = self._progress.get(key)
        if known is None or found.run >= known.run:
            self._progress[key] = found
            if known is None or found.run > known.run:
                self.on_change()

    def take_letter(self, record: ConsumerRecord) -> None:
        """Take a record of ``webhook-dead-letters``."""
        letter = _read(record, HookLetter)
        if letter is not None:
            kept = self._letters.setdefault(letter.hook_id, deque(maxlen=DEAD_LETTERS_KEPT_MAX))
            kept.append(letter)


def hook_record(topics: Topics, hook: Hook) -> Record:
    """Make the record of a registration."""
    return Record(topics.webhooks, hook.hook_id, msgspec.json.encode(hook))


def no_hook_record(topics: Topics, hook_id: str) -> Record:
    """Make the record that takes a registration away."""
    return Record(topics.webhooks, hook_id, None)


def progress_record(topics: Topics, progress: Progress) -> Record:
    """Make the record of how far a webhook has got."""
    key = f"{progress.hook_id}/{progress.partition}"
    return Record(topics.webhook_progress, key, msgspec.json.encode(progress))


def letter_record(topics: Topics, letter: HookLetter) -> Record:
    """Make the record of a dead letter."""
    return Record(topics.webhook_dead_letters, letter.hook_id, msgspec.json.encode(letter))


def _read(record: ConsumerRecord, kind: type[S]) -> S | None:
    if record.value is None:
        return None
    try:
        return msgspec.json.decode(record.value, type=kind)
    except msgspec.MsgspecError:
        log.warning("webhook_record_unreadable", topic=record.topic, offset=record.offset)
        return None
