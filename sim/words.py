"""Events in plain words, for those who watch. Names of people and roads appear as they are."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from xiaohe.sim.calls import IN_ENGLISH

Tone = Literal["plain", "good", "warn", "bad", "quiet"]

RULES: Final = {
    "owner": "owner of the road",
    "team": "of the road's squad",
    "nearest": "nearest by road",
    "mutual_aid": "mutual aid",
    "operator": "by hand",
}
"""The rule by which somebody was chosen."""

RULES_SHORT: Final = {"mutual_aid": "aid", "operator": "by hand"}
"""Where a column is narrow; the others are short themselves."""

REASONS: Final = {
    "always": "as policy says",
    "predicted_late": "the first will be late",
    "acceptance_overdue": "nobody has accepted",
    "arrival_overdue": "nobody is there yet",
    "asked_for": "asked for at the scene",
    "requested": "asked for at the scene",
    "too_few": "more people are needed",
    "unfilled": "nobody can go",
    "sos": "a member is in distress",
    "not_acknowledged": "no word from below",
    "accepted_by_another": "somebody else accepted",
    "resolved": "it is done",
    "no_answer": "no answer",
    "no_show": "never arrived",
}
"""Reasons that the engine gives, in words; others are shown as they are."""

RUNGS: Final = {
    "squad_leader": "squad leader",
    "squadron_leader": "squadron leader",
    "brigade_leader": "brigade leader and police room",
}


class Line(NamedTuple):
    """One thing that happened: a tone, and words."""

    tone: Tone
    words: str


class Narrator:
    """Tells events. It remembers what each incident is about, for later events do not say."""

    def __init__(self, name_of: Callable[[str], str], speed: float) -> None:
        """``name_of`` gives a member's name; ``speed`` multiplies durations back."""
        self._name_of = name_of
        self._speed = speed
        self._about: dict[str, str] = {}

    def tell(self, event: Mapping[str, Any]) -> Line | None:
        """Put an ``incident-events`` record in words; None for what nobody needs to read."""
        data, incident_id, kind = event["data"], event["incident_id"], event["type"]
        if kind == "incident.opened":
            self._about[incident_id] = about(data)
            return self._opened(data)
        if incident_id not in self._about:
            return None
        what = self._about[incident_id]
        who = self._name_of(str(data.get("member_id", "")))
        if kind in {"member.dispatched", "backup.dispatched"}:
            return self._dispatched(data, who, what)
        told = _TELL.get(kind)
        return None if told is None else Line(told[0], told[1](who, what, data))

    def dead_letter(self, letter: Mapping[str, Any]) -> Line:
        """Put a dead letter in words."""
        return Line("quiet", f"dead letter from {letter['topic']}: {letter['reason']}")

    def _opened(self, data: Mapping[str, Any]) -> Line:
        odd = f" ({', '.join(data['odd']).replace('_', ' ')})" if data.get("odd") else ""
        finder = data.get("reported_by")
        by = f"{self._name_of(finder)} finds" if finder else f"P{data['priority']}"
        return Line("plain", f"{by} {about(data)}{odd}")

    def _dispatched(self, data: Mapping[str, Any], who: str, what: str) -> Line:
        rule = data.get("why", {}).get("rule", "")
        eta_s = data.get("eta_s")
        eta = "" if eta_s is None else f", {eta_s * self._speed:.0f} s away"
        role = "as backup " if data["role"] == "backup" else ""
        return Line("plain", f"→ {who} sent {role}to {what}: {RULES.get(rule, rule)}{eta}")


def about(data: Mapping[str, Any]) -> str:
    """Say what an incident is about and where."""
    category = str(data.get("category"))
    return (
        f"{IN_ENGLISH.get(category, category)} at {street(data.get('road_id')) or 'no known road'}"
    )


def street(road_id: str | None) -> str | None:
    """Give the street of a road_id: the crossings that bound a section of it say little to
    somebody who only watches."""
    return None if road_id is None else road_id.partition("/")[0]


def _reason(data: Mapping[str, Any]) -> str:
    reason = data.get("reason")
    return REASONS.get(str(reason), str(reason).replace("_", " ")) if reason else ""


def _because(data: Mapping[str, Any]) -> str:
    reason = _reason(data)
    return f": {reason}" if reason else ""


_Say = Callable[[str, str, Mapping[str, Any]], str]

_TELL: Final[Mapping[str, tuple[Tone, _Say]]] = {
    "alert.attached": ("quiet", lambda _w, what, d: f"{d['relation']} matter: one more call about "
                                                   f"{what}"),
    "member.accepted": ("good", lambda who, what, _d: f"✓ {who} accepts {what}"),
    "member.declined": ("warn", lambda who, what, d: f"! {who} cannot go to {what}{_because(d)}"),
    "acceptance.overdue": ("bad", lambda _w, what, _d: f"✗ nobody has accepted {what} in time"),
    "member.arrived": ("good", lambda who, what, d: f"✓ {who} on scene, {what}"
                       + (" (by position)" if d.get("by") == "position" else "")),
    "arrival.predicted_late": ("warn", lambda who, what, _d: f"! {who} will be late for {what}"),
    "arrival.overdue": ("bad", lambda _w, what, _d: f"✗ nobody on scene in time, {what}"),
    "backup.required": ("warn", lambda _w, what, d: f"! backup needed for {what}{_because(d)}"),
    "backup.arrived": ("good", lambda who, what, _d: f"✓ {who} there as backup, {what}"),
    "backup.overdue": ("bad", lambda _w, what, _d: f"✗ no backup in time, {what}"),
    "member.stood_down": ("quiet", lambda who, what, d: f"{who} stood down from {what}"
                          f"{_because(d)}"),
    "member.lapsed": ("warn", lambda who, what, d: f"! order of {who} lapsed, {what}{_because(d)}"),
    "incident.unfilled": ("bad", lambda _w, what, d: f"✗ nobody free for {what}: "
                          f"{', '.join(d['reasons']).replace('_', ' ')}"),
    "command.notified": ("warn", lambda _w, what, d: f"! {RUNGS.get(d['rung'], d['rung'])} told "
                         f"of {what}{_because(d)}"),
    "command.acknowledged": ("quiet", lambda _w, what, _d: f"the desk takes note of {what}"),
    "incident.resolved": ("good", lambda _w, what, d: f"✓ done: {what}"
                          + (f" ({d['outcome']})" if d.get("outcome") else "")),
    "incident.cancelled": ("quiet", lambda _w, what, _d: f"cancelled: {what}"),
    "incident.reopened": ("warn", lambda _w, what, _d: f"! again: {what}"),
}  # fmt: skip
"""How each type of event is told; types that are not here are not told."""
