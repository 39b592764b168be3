"""The doors of webhooks: register, look at, take away, try, replay, and see what was given up."""

import secrets
from typing import Any, Final

import msgspec
from msgspec import Struct

from xiaohe.dispatch.inputs import Identifier
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.access.principal import About, Change, Permit
from xiaohe.gateway.door import JSON, KIB, Answer, Body, Door, Parameter, Refusal, Reply, Visit
from xiaohe.gateway.events.entry import CLOUDEVENT, Entry
from xiaohe.gateway.events.guard import NotAllowed
from xiaohe.gateway.events.hooks import (
    AREAS_MAX,
    HOOKS_MAX,
    KINDS_MAX,
    Form,
    Hook,
    HookTopic,
    Kind,
    Progress,
    hook_record,
    no_hook_record,
    progress_record,
)
from xiaohe.gateway.events.parcels import Parcel
from xiaohe.gateway.events.position import BadPosition, read_position
from xiaohe.gateway.events.sender import Outcome
from xiaohe.gateway.events.signing import secret_text
from xiaohe.gateway.events.webhooks import Webhooks
from xiaohe.gateway.parts import Parts
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.json_object import read_object
from xiaohe.wire.typed import typed

BODY_BYTES_MAX: Final = 16 * KIB
"""A registration with a thousand areas named."""

ID_BYTES: Final = 8

HOOK: Final = {
    "type": "object",
    "required": ["hook_id", "url", "created_by", "created_at", "topics", "types", "form"],
    "properties": {
        "hook_id": {"type": "string"},
        "url": {"type": "string"},
        "area_ids": {"type": ["array", "null"], "items": {"type": "string"}},
        "topics": {"type": "array", "items": {"type": "string"}},
        "types": {"type": "array", "items": {"type": "string"}},
        "form": {"type": "string"},
        "source": {"type": ["string", "null"]},
        "disabled": {"type": ["string", "null"]},
        "secret": {"type": "string", "description": "Shown once, when it is registered."},
    },
}


class NewHook(Struct, frozen=True, kw_only=True):
    """What is registered: the areas (none named: all), topics and types that are sent to a URL."""

    url: str
    area_ids: tuple[Identifier, ...] | None = None
    topics: tuple[HookTopic, ...] = ("incident_events", "area_events")
    types: tuple[Kind, ...] = ()
    form: Form = "cloudevents"
    source: Identifier | None = None


class Replay(Struct, frozen=True, kw_only=True):
    """From where to deliver again: the position of an event of the area, or a dead letter's.
    Without both it goes on where it stands, also one that was disabled."""

    area_id: Identifier | None = None
    position: str | None = None


class Redelivery(Struct, frozen=True, kw_only=True):
    """Which event to deliver once more: where it lies, as a dead letter says it."""

    topic: HookTopic
    partition: int
    offset: int


class HookDoors:
    """What is behind the doors."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _webhooks(self) -> Webhooks:
        if self._parts.webhooks is None:
            raise Refusal(
                503, "no_secret", "this gateway has no secret to sign with: start it with one"
            )
        return self._parts.webhooks

    async def add(self, visit: Visit) -> Reply:
        """Register one; its secret is in this answer and in no other."""
        new = _read(visit, NewHook)
        permit = await self._permit(visit, new.area_ids)
        webhooks = self._webhooks
        self._check(new)
        hook_id = f"hook-{secrets.token_hex(ID_BYTES)}"
        hook = Hook(
            hook_id=hook_id,
            created_by=permit.principal.principal_id,
            created_at=rfc3339(visit.received_ms),
            **msgspec.structs.asdict(new),
        )
        feed = self._parts.feed
        begins = [
            Progress(hook_id=hook_id, partition=each, position=str(feed.now(each)))
            for each in feed.partitions_of(hook.area_ids)
        ]
        topics = self._parts.topics
        await self._parts.publisher.publish_all(
            permit, [*(progress_record(topics, each) for each in begins), hook_record(topics, hook)]
        )
        webhooks.book.put(hook, begins)
        secret = secret_text(webhooks.key_of(hook_id))
        return Reply(201, _shown(hook) | {"secret": secret})

    async def all(self, visit: Visit) -> Reply:
        """Give those of an area, or, to who may, of all."""
        area_id = visit.parameter("area_id")
        await visit.permit(About(area_id=area_id))
        hooks = self._webhooks.book.hooks.values()
        shown = [x for x in hooks if area_id is None or x.area_ids is None or area_id in x.area_ids]
        return Reply(value={"webhooks": [_shown(hook) for hook in shown]})

    async def one(self, visit: Visit) -> Reply:
        """Give one, and how far it has got in each partition."""
        hook, _ = await self._hook(visit)
        book = self._webhooks.book
        known = (book.progress(hook.hook_id, p) for p in self._parts.feed.partitions_of(None))
        positions = {str(each.partition): each.position for each in known if each is not None}
        return Reply(value=_shown(hook) | {"positions": positions})

    async def remove(self, visit: Visit) -> Reply:
        """Take one away."""
        hook, permit = await self._hook(visit)
        record = no_hook_record(self._parts.topics, hook.hook_id)
        await self._parts.publisher.publish(permit, record)
        self._webhooks.book.drop(hook.hook_id)
        return Reply(204)

    async def test(self, visit: Visit) -> Reply:
        """Send an event that says nothing, once, and tell what came of it."""
        hook, _ = await self._hook(visit)
        at = rfc3339(visit.received_ms)
        identity = f"{hook.hook_id}/test/{at}"
        ce = {"specversion": "1.0", "id": identity, "source": "/xiaohe/-/webhooks",
              "type": "xiaohe.webhook.test.v1", "time": at}  # fmt: skip
        entry = Entry("incident_events", 0, 0, visit.received_ms, "", "webhook.test", ce, {})
        parcel = Parcel(entry.identity, entry.cloudevent(), CLOUDEVENT)
        return _told(await self._webhooks.deliverer.attempt(hook, parcel))

    async def replay(self, visit: Visit) -> Reply:
        """Deliver again from a position, or go on where it stands."""
        hook, permit = await self._hook(visit)
        said = _read(visit, Replay)
        if (said.area_id is None) != (said.position is None):
            raise BadInput(Reason.MISSING_FIELD, "area_id and position go together")
        records, begins = [], []
        if said.area_id is not None and said.position is not None:
            begins = [self._begin(hook, said.area_id, said.position)]
            records = [progress_record(self._parts.topics, each) for each in begins]
        enabled = msgspec.structs.replace(hook, disabled=None, disabled_at=None)
        records.append(hook_record(self._parts.topics, enabled))
        await self._parts.publisher.publish_all(permit, records)
        self._webhooks.book.put(enabled, begins)
        return Reply(202, _shown(enabled))

    def _begin(self, hook: Hook, area_id: str, text: str) -> Progress:
        """Begin a new run of the area's partition."""
        if hook.area_ids is not None and area_id not in hook.area_ids:
            raise BadInput(Reason.UNKNOWN_AREA, "area_id is none of this webhook's")
        try:
            position = read_position(text)
        except BadPosition as bad:
            raise Refusal(400, "bad_position", str(bad)) from None
        partition = self._parts.feed.partition_of(area_id)
        known = self._webhooks.book.progress(hook.hook_id, partition)
        whole = self._parts.feed.now(partition).but(position)
        run = 1 if known is None else known.run + 1
        return Progress(hook_id=hook.hook_id, partition=partition, position=str(whole), run=run)

    async def redeliver(self, visit: Visit) -> Reply:
        """Send one event once more, out of turn, and tell what came of it."""
        hook, _ = await self._hook(visit)
        said = _read(visit, Redelivery)
        entry = await self._parts.feed.read_one(said.topic, said.partition, said.offset)
        outcome = None if entry is None else await self._webhooks.deliverer.redeliver(hook, entry)
        if outcome is None:
            raise Refusal(404, "no_such_event", "there is no event of this webhook's there")
        return _told(outcome)

    async def letters(self, visit: Visit) -> Reply:
        """Give what was given up, newest last."""
        hook, _ = await self._hook(visit)
        letters = self._webhooks.book.letters(hook.hook_id)
        return Reply(value={"dead_letters": [msgspec.to_builtins(each) for each in letters]})

    # --- checks

    async def _hook(self, visit: Visit) -> tuple[Hook, Permit]:
        """Give the webhook of the path to who may manage all of its areas."""
        hook = self._webhooks.book.hooks.get(visit.path_parameters["hook_id"])
        if hook is None:
            await visit.permit()  # whoever may not manage any does not learn which there are
            raise Refusal(404, "no_such_webhook", "no webhook has this id")
        return hook, await self._permit(visit, hook.area_ids)

    async def _permit(self, visit: Visit, area_ids: tuple[str, ...] | None) -> Permit:
        """Ask for each area; the last permit stands for all."""
        permit = None
        for area_id in area_ids if area_ids is not None else (None,):
            permit = await visit.permit(About(area_id=area_id))
        if permit is None:
            raise BadInput(Reason.MISSING_FIELD, "name an area, or leave area_ids out for all")
        return permit

    def _check(self, new: NewHook) -> None:
        webhooks = self._webhooks
        try:
            webhooks.deliverer.sender.guard.check_url(new.url)
        except NotAllowed as refused:
            raise Refusal(400, "not_allowed", str(refused)) from None
        for area_id in new.area_ids or ():
            if not self._parts.known.has_area(area_id):
                raise BadInput(Reason.UNKNOWN_AREA, "area_ids names an area that nobody knows")
        if len(new.area_ids or ()) > AREAS_MAX or len(new.types) > KINDS_MAX or not new.topics:
            raise Refusal(
                400, "oversize", f"at most {AREAS_MAX} areas and {KINDS_MAX} types; one topic"
            )
        if (new.form == "results") != (new.source is not None):
            raise BadInput(Reason.MISSING_FIELD, "source goes with the form results, and only so")
        if new.source is not None and new.source not in self._parts.feeds:
            raise BadInput(Reason.UNKNOWN_VALUE, "source names no feed of this gateway")
        if len(webhooks.book.hooks) >= HOOKS_MAX:
            raise Refusal(409, "too_many", f"there are {HOOKS_MAX} webhooks: take one away")


def _read(visit: Visit, kind: type[Struct]) -> Any:  # noqa: ANN401 - the caller names the type
    return typed(read_object(visit.body, BODY_BYTES_MAX), kind)


def _shown(hook: Hook) -> dict[str, Any]:
    """Give a webhook as it is shown: all of it, for no secret is in it."""
    plain: dict[str, Any] = {x: getattr(hook, x) for x in hook.__struct_fields__}
    return plain


def _told(outcome: Outcome) -> Reply:
    return Reply(
        value={
            "came": outcome.came.value,
            "status": outcome.status,
            "reason": outcome.reason,
            "took_ms": outcome.took_ms,
        }
    )


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the doors of webhooks."""
    made = HookDoors(parts)
    path = "/v1/webhooks"
    one = f"{path}/{{hook_id}}"
    manage: dict[str, Any] = {"change": Change.WEBHOOK_MANAGE, "room": "events"}
    missing = Answer(status=404, what="No such webhook.")
    shown = Answer(status=200, what="The webhook.", schema=HOOK)
    outcome = Answer(
        status=200, what="What came of it.",
        schema={
            "type": "object", "required": ["came", "status", "reason", "took_ms"],
            "properties": {
                "came": {"type": "string"}, "status": {"type": ["integer", "null"]},
                "reason": {"type": "string"}, "took_ms": {"type": "integer"},
            },
        },
    )  # fmt: skip
    return (
        Door(
            method="POST", path=path, name="webhook_add",
            what="Register a webhook; its secret is shown once.", handle=made.add,
            bodies=(_body(NewHook, {"url": "https://desk.example.org/events",
                                    "area_ids": ["xiaohe"], "types": ["incident.*"]}),),
            answers=(
                Answer(status=201, what="Registered.", schema=HOOK),
                Answer(status=409, what="There are too many."),
            ),
            **manage,
        ),
        Door(
            method="GET", path=path, name="webhook_list", what="The webhooks of an area.",
            handle=made.all,
            parameters=(Parameter(name="area_id", where="query", what="the area; none: all"),),
            answers=(Answer(status=200, what="The webhooks.", schema={
                "type": "object", "required": ["webhooks"],
                "properties": {"webhooks": {"type": "array", "items": HOOK}},
            }),),
            **manage,
        ),
        Door(
            method="GET", path=one, name="webhook_get",
            what="One webhook, and how far it has got.", handle=made.one,
            answers=(shown, missing), **manage,
        ),
        Door(
            method="DELETE", path=one, name="webhook_remove", what="Take a webhook away.",
            handle=made.remove, answers=(Answer(status=204, what="It is gone."), missing), **manage,
        ),
        Door(
            method="POST", path=f"{one}/test", name="webhook_test",
            what="Send an event that says nothing, once.", handle=made.test,
            answers=(outcome, missing), **manage,
        ),
        Door(
            method="POST", path=f"{one}/replay", name="webhook_replay",
            what="Deliver again from a position, or go on where it stands; enables it, too.",
            handle=made.replay,
            bodies=(_body(Replay, {"area_id": "xiaohe", "position": "i120.d33.a4.m0"}),),
            answers=(Answer(status=202, what="It will be.", schema=HOOK), missing), **manage,
        ),
        Door(
            method="POST", path=f"{one}/redeliver", name="webhook_redeliver",
            what="Send one event once more, as a dead letter names it.", handle=made.redeliver,
            bodies=(_body(Redelivery, {"topic": "incident_events", "partition": 7, "offset": 12}),),
            answers=(outcome, missing), **manage,
        ),
        Door(
            method="GET", path=f"{one}/dead-letters", name="webhook_dead_letters",
            what="What was given up, and why.", handle=made.letters,
            answers=(
                Answer(status=200, what="The dead letters.", schema={
                    "type": "object", "required": ["dead_letters"],
                    "properties": {"dead_letters": {"type": "array"}},
                }),
                missing,
            ),
            **manage,
        ),
    )  # fmt: skip


def _body(kind: type[Struct], example: object) -> Body:
    schema = msgspec.json.schema(kind, ref_template="#/{name}")
    return Body(media_type=JSON, bytes_max=BODY_BYTES_MAX, schema=_inlined(schema), example=example)


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A struct's own schema, out of the definitions that msgspec puts it into."""
    found = schema.get("$defs", {})
    assert len(found) == 1, "a body of these doors has no structs inside"
    return next(iter(found.values()))
