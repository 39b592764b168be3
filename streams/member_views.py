"""The ``members`` topic: what each member is doing, without a decision of its own.

A member's record is published when what it says has changed, at most so many at a time, so that
a fleet that moves does not crowd out decisions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import orjson

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.eligibility import is_on_break, is_on_duty
from xiaohe.dispatch.roster import Member, Roster
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.times import rfc3339
from xiaohe.dispatch.world import World
from xiaohe.streams.outputs import EVENTS_STAGE, VIEWS_STAGE, area_event
from xiaohe.streams.ports import Publication, Raw
from xiaohe.wire.cloudevents import headers, source_of, type_of

VIEWS_PER_TICK_MAX: Final = 200
"""Members published at one time."""

SWEEP_MS: Final = 30_000
"""So often everybody is looked at, for shifts begin and fixes age by themselves."""

REPEAT_MS: Final = 5_000
"""A member who only moves is published again no sooner."""

FIX_IS_OLD_S: Final = 120.0
"""Older than this a fix is called stale in the view; what is eligible is policy's to say."""

EVENTS_WAITING_MAX: Final = 10_000
"""Roster events kept until the next tick: a whole roster of a large city."""


class MemberViews:
    """What was last published of each member, and who has to be looked at again."""

    def __init__(self, roster: Roster, topic_names: Mapping[str, str]) -> None:
        self._roster = roster
        self._topic_names = topic_names
        self._touched: dict[str, None] = {}
        self._published: dict[str, tuple[tuple[object, ...], int]] = {}
        self._swept_ms = 0
        self._events: list[tuple[str, str, Raw, int]] = []
        self._gone: dict[str, str] = {}
        self._area_of: dict[str, str] = {}

    def touch(self, member_id: str) -> None:
        """Look at this member at the next tick."""
        self._touched[member_id] = None

    def touch_each(self, member_ids: Iterable[str]) -> None:
        """Look at these members at the next tick."""
        self._touched.update(dict.fromkeys(member_ids))

    def touch_all(self, decision: Decision) -> None:
        """Look at whoever a decision concerns."""
        for fact in decision.facts:
            if isinstance(fact, f.DutyDeclared):
                # Whose a device is now is not to wait behind a fleet that only moves.
                self._touched = {fact.member_id: None} | self._touched
            elif isinstance(fact, f.BreakDeclared):
                self.touch(fact.member_id)
            elif member_id := getattr(fact, "member_id", None):
                self.touch(member_id)

    def roster_changed(self, member: Member, raw: Raw, at_ms: int) -> None:
        """Tell at the next tick that the roster changed."""
        self.touch(member.member_id)
        self._gone.pop(member.member_id, None)
        self._note(member.member_id, member.area_id, raw, at_ms)

    def gone(self, member_id: str, raw: Raw, *, tell: bool) -> None:
        """Let go, at the next tick, of a member whom this engine has shown."""
        area_id = self.forget(member_id)
        if area_id is None:
            return
        self._gone[member_id] = area_id
        if tell:
            self._note(member_id, area_id, raw, raw.timestamp_ms)

    def forget(self, member_id: str) -> str | None:
        """Have nothing to do with a member any more; give the area in which they were shown."""
        self._published.pop(member_id, None)
        return self._area_of.pop(member_id, None)

    def _note(self, member_id: str, area_id: str, raw: Raw, at_ms: int) -> None:
        if len(self._events) < EVENTS_WAITING_MAX:
            self._events.append((member_id, area_id, raw, at_ms))

    def due(
        self, areas: Mapping[str, tuple[AreaState, World]], now_ms: int, epoch: int
    ) -> Sequence[Publication]:
        """Give what is to be published now."""
        publications = [self._event(*event, epoch) for event in self._events]
        self._events.clear()
        publications += [self._tombstone(*each, now_ms) for each in self._gone.items()]
        self._gone.clear()
        if now_ms - self._swept_ms >= SWEEP_MS:
            self._swept_ms = now_ms
            for area_id in areas:
                self._touched |= dict.fromkeys(self._roster.members(area_id))
        for member_id in list(self._touched)[:VIEWS_PER_TICK_MAX]:
            del self._touched[member_id]
            area = areas.get(self._roster.area_of(member_id) or "")
            if area is not None:
                view = self._view(*area, member_id, now_ms, epoch)
                if view is not None:
                    publications.append(view)
        return publications

    def _view(
        self, state: AreaState, world: World, member_id: str, now_ms: int, epoch: int
    ) -> Publication | None:
        member = self._roster.get(member_id)
        assert member is not None, "whoever has an area is in the roster"
        track = world.live.track(member_id)
        doing = _doing(state, world, member_id, now_ms)
        age_s = None if track is None else max(0.0, (now_ms - track.fix_ms) / 1000)
        trust = _trust(world, member_id, age_s)
        place = None if track is None else (track.lon, track.lat)
        devices, until_ms = _taken(state, member_id, now_ms)
        says = ((doing, devices, until_ms), trust, place)
        last, last_ms = self._published.get(member_id, (None, 0))
        if says == last:
            return None
        if last is not None and last[:2] == says[:2] and now_ms - last_ms < REPEAT_MS:
            self._touched[member_id] = None
            return None
        self._published[member_id] = (says, now_ms)
        self._area_of[member_id] = state.area_id
        value = {
            "member_id": member_id,
            "area_id": state.area_id,
            "state": doing,
            "force": member.force,
            "team": member.team,
            "road_id": None if track is None else track.road_id,
            "position": None if place is None else {"lon": place[0], "lat": place[1]},
            "fix_age_s": None if age_s is None else round(age_s, 1),
            "trust": trust,
            "device_ids": devices,
            "device_ids_until": None if until_ms is None else rfc3339(until_ms),
            "at": rfc3339(now_ms),
            "epoch": epoch,
        }
        return self._publication("members", VIEWS_STAGE, member_id, state.area_id, value, now_ms)

    def _tombstone(self, member_id: str, area_id: str, now_ms: int) -> Publication:
        """Take a member's record back: the topic is compacted."""
        shown = self._publication("members", VIEWS_STAGE, member_id, area_id, {}, now_ms)
        return msgspec.structs.replace(shown, value=None)

    def _event(self, member_id: str, area_id: str, raw: Raw, at_ms: int, epoch: int) -> Publication:
        event_id = f"{self._topic_names['roster']}:{raw.partition}:{raw.offset}"
        value = area_event(
            event_id=event_id,
            area_id=area_id,
            kind="roster.changed",
            at_ms=at_ms,
            epoch=epoch,
            cause={
                "topic": self._topic_names["roster"],
                "partition": raw.partition,
                "offset": raw.offset,
            },
            data={"member_id": member_id},
        )
        return self._publication(
            "area_events", EVENTS_STAGE, area_id, area_id, value, at_ms, event_id
        )

    def _publication(
        self,
        topic: str,
        stage: int,
        key: str,
        area_id: str,
        value: Mapping[str, object],
        at_ms: int,
        ce_id: str | None = None,
    ) -> Publication:
        source = source_of(area_id, self._topic_names[topic])
        kind = "member" if ce_id is None else str(value["type"])
        return Publication(
            topic=topic,
            stage=stage,
            key=key.encode(),
            value=orjson.dumps(value),
            headers=headers(ce_id or f"{key}@{at_ms}", source, type_of(kind), at_ms),
        )


def _doing(state: AreaState, world: World, member_id: str, now_ms: int) -> str:
    held = state.holding.get(member_id)
    if held is not None:
        order = state.incidents[held.incident_id].order(held.dispatch_id)
        assert order is not None, "a held order is in its incident"
        return "on_scene" if order.state == "arrived" else order.state
    if member_id in state.distressed:
        return "in_distress"
    if not is_on_duty(state, world, member_id, now_ms):
        return "off_duty"
    return "on_break" if is_on_break(state, member_id, now_ms) else "available"


def _taken(state: AreaState, member_id: str, now_ms: int) -> tuple[tuple[str, ...], int | None]:
    """Give the devices that a member took for the shift, and when it ends, if that is known."""
    word = state.duty.get(member_id)
    if word is None or not word.device_ids or (word.until_ms or now_ms + 1) <= now_ms:
        return (), None
    return word.device_ids, word.until_ms


def _trust(world: World, member_id: str, age_s: float | None) -> str:
    """Say how far the position can be relied on: ``live``, ``doubtful``, ``stale``, ``post`` …"""
    track = world.live.track(member_id)
    if track is not None and age_s is not None and age_s <= FIX_IS_OLD_S:
        return "live" if track.trusted else "doubtful"
    if world.live.post(member_id) is not None:
        return "post"
    return "none" if track is None else "stale"
