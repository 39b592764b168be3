"""The sentences of one order's explanation: what ``words`` has for each code, put together.

Times are seconds as the engine decided them; a demo's are as short as its clock is quick.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from xiaohe.dispatch.deadlines import split
from xiaohe.dispatch.facts import Candidate
from xiaohe.explain.recheck import SAME_S, Difference, Recheck
from xiaohe.explain.story import Event, Order, seconds_between, verdict
from xiaohe.explain.words import (
    DEADLINES,
    ENDS,
    EXCLUDED,
    LEFT_OUT,
    MODES,
    ROLES,
    RULES,
    VERDICTS,
    Words,
    event_words,
    in_words,
)

DIFFERENCES_TOLD_MAX: Final = 5
"""Differences told one by one; the line of a person is read, not counted."""

NameOf = Callable[[str], str]


@dataclass(frozen=True)
class Teller:
    """Tells orders: ``name_of`` gives a member's name (the id where none is known), ``zone`` the
    area's time."""

    name_of: NameOf
    zone: tzinfo

    # --- people, times, places

    def who(self, member_id: str) -> str:
        """Name a member, with the id by which the topics know them."""
        name = self.name_of(member_id)
        return member_id if name == member_id else f"{name} ({member_id})"

    def clock(self, at: str) -> str:
        """Give a time of day in the area's zone."""
        return datetime.fromisoformat(at).astimezone(self.zone).strftime("%H:%M:%S")

    def moment(self, at: str) -> str:
        """Give a date and a time of day in the area's zone, and name the zone."""
        there = datetime.fromisoformat(at).astimezone(self.zone)
        return f"{there:%Y-%m-%d %H:%M:%S} {self.zone}"

    # --- the order

    def headline(self, order: Order) -> str:
        """Say who was ordered to what, as what, and by which rule in words."""
        drill = "DRILL: " if order.about.drill else ""
        about = order.about
        urgency = "" if about.priority is None else f", priority {about.priority}"
        what = f"{about.road_id or 'a place off every road'} ({about.category}{urgency})"
        role = in_words(ROLES, order.role).en
        rule = in_words(RULES, order.why.rule).en
        if order.why.rule == "unknown":
            rule = "by a rule that the order does not record"
        who = self.who(order.member_id)
        return f"{drill}{who} was ordered to {what} as {role}: {rule}{_could_be_there(order)}."

    def where(self, order: Order) -> str:
        """Say where it was, how far off the road, and where the search began."""
        off_m = order.why.off_road_m if order.why.off_road_m is not None else order.about.off_road_m
        road = order.about.road_id or "no road within reach"
        off = "" if not off_m or off_m < 1 else f", {off_m:.0f} m from the road"
        begin = order.why.from_place
        if begin is None:
            return f"{road}{off}"
        return f"{road}{off}; searched from {begin.lon:.6f}, {begin.lat:.6f}"

    def searched(self, order: Order) -> str:
        """Say how far was looked, and who is not in the table."""
        why = order.why
        if why.rule == "operator":
            looked = "nobody was searched for: a person chose"
        elif why.from_place is None:
            looked = "how far was searched is not recorded"
        elif why.searched_s is None:
            looked = "everybody there is"
        else:
            looked = f"everybody who could be met within {_seconds(why.searched_s)} by road"
        if not why.left_out:
            return looked
        left = ", ".join(
            f"{count} {in_words(LEFT_OUT, reason).en}" for reason, count in why.left_out.items()
        )
        return f"{looked}; besides those named below: {left}"

    def cause(self, order: Order) -> str:
        """Say what was being decided when the order was given, and when."""
        cause = order.cause
        if "deadline" in cause:
            name, dispatch_id = split(str(cause["deadline"]))
            of = f" (order {dispatch_id})" if dispatch_id else ""
            what = f"a deadline: {in_words(DEADLINES, name).en}{of}"
        elif "topic" in cause:
            what = f"{cause['topic']}, partition {cause['partition']}, offset {cause['offset']}"
        else:
            what = "not recorded"
        return what

    def versions(self, order: Order) -> str:
        """Name the map, the policy and the roster that were decided on."""
        why = order.why
        named = (
            ("map", why.roads_version), ("policy", why.policy_version),
            ("roster", why.roster_version),
        )  # fmt: skip
        return ", ".join(f"{what} {version or 'not recorded'}" for what, version in named)

    # --- the candidates

    def known_from(self, candidate: Candidate) -> str:
        """Say how it is known where somebody was."""
        if candidate.at_post:
            return "at their post"
        if candidate.fix_age_s is None:
            unknown = "" if candidate.excluded else "not recorded"
            return unknown if candidate.place is None else "by position"
        accuracy = "" if candidate.accuracy_m is None else f" ±{candidate.accuracy_m:.0f} m"
        doubt = "" if candidate.trusted else ", a newer one was a leap"
        return f"fix {_seconds(candidate.fix_age_s)} old{accuracy}{doubt}"

    def verdict(self, order: Order, candidate: Candidate) -> Words:
        """Say what became of a candidate."""
        code = verdict(order, candidate)
        known = in_words({**EXCLUDED, **VERDICTS}, code)
        if code == "ordered":
            rule = in_words(RULES, order.why.rule)
            return Words(f"{known.en}: {rule.en}", f"{known.zh}：{rule.zh}")
        return known

    # --- what became of it

    def event(self, event: Event) -> str:
        """Tell an event in a line."""
        member_id = str(event.data.get("member_id") or "")
        return event_words(event.type, event.data, self.name_of(member_id)).en

    def outcome(self, order: Order) -> str:
        """Say how the order stands or ended."""
        if order.end is None:
            return "the order is open"
        took_s = seconds_between(order.ordered_at, str(order.ended_at))
        return f"the order ended after {_seconds(took_s)}: {in_words(ENDS, order.end).en}"

    # --- judged again

    def recheck(self, order: Order, found: Recheck) -> str:
        """Say whether the same comes out again."""
        if found.state == "skipped":
            return f"not recomputed: {found.reason}"
        if not found.differences:
            times = f"recomputed: the same ({found.checked} travel times, to {SAME_S} s)"
        else:
            told = "; ".join(self._difference(d) for d in found.differences[:DIFFERENCES_TOLD_MAX])
            more = len(found.differences) - DIFFERENCES_TOLD_MAX
            tail = f"; and {more} more" if more > 0 else ""
            count = f"{len(found.differences)} of {found.checked}"
            times = f"recomputed: {count} travel times differ: {told}{tail}"
        unplaced = f"; {found.unplaced} have no time to compare" if found.unplaced else ""
        return f"{times}{unplaced}; {self._choice(order, found)}{_pace(found)}"

    def _difference(self, found: Difference) -> str:
        now = "no way" if found.recomputed_s is None else f"{found.recomputed_s:.1f} s"
        return f"{self.who(found.member_id)} {found.recorded_s:.1f} s, now {now}"

    def _choice(self, order: Order, found: Recheck) -> str:
        if found.choice == "same":
            return f"the rule names {self.name_of(order.member_id)} again"
        if found.choice == "differs":
            chosen = "nobody" if found.chosen is None else self.who(found.chosen)
            return f"the rule names {chosen} instead"
        if order.why.together:
            return "the choice was made for several incidents together and is not judged from one"
        return "a person's choice is not judged"


def words_of(teller: Teller, order: Order, found: Recheck) -> Mapping[str, Any]:
    """Give all sentences of an order by name, for ``--json``."""
    rule, role = in_words(RULES, order.why.rule), in_words(ROLES, order.role)
    verdicts = {c.member_id: teller.verdict(order, c)._asdict() for c in order.why.candidates}
    return {
        "headline": teller.headline(order),
        "rule": rule._asdict(),
        "role": role._asdict(),
        "where": teller.where(order),
        "searched": teller.searched(order),
        "verdicts": verdicts,
        "outcome": teller.outcome(order),
        "recheck": teller.recheck(order, found),
    }


def mode_words(mode: str | None) -> str:
    """Say how somebody travels."""
    return "" if mode is None else in_words(MODES, mode).en


def _could_be_there(order: Order) -> str:
    if order.eta_s is None:
        return ""
    left_s = order.left_s
    if left_s is None:
        return f", {_seconds(order.eta_s)} away"
    if left_s <= 0:
        return f", {_seconds(order.eta_s)} away when the time to arrive had passed"
    if order.eta_s > left_s:
        return f", {_seconds(order.eta_s)} away with {_seconds(left_s)} left"
    return f", and could be there in {_seconds(order.eta_s)} of the {_seconds(left_s)} left"


def _seconds(span_s: float) -> str:
    """Give a span for people: tenths where they count."""
    return f"{span_s:.0f} s" if span_s >= TENTHS_BELOW_S else f"{span_s:.1f} s"


TENTHS_BELOW_S: Final = 10.0
"""Below this tenths of a second are told."""


def _pace(found: Recheck) -> str:
    """Where all times differ by one factor, the engine ran at another pace than the map here."""
    pace = found.pace
    if pace is None:
        return ""
    return f" (all by the factor {pace:.1f}: a demo's orders are explained with its --speed)"
