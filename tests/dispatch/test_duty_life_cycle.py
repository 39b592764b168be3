"""A member's life on and off duty, beside a model of a few lines: shifts, words, breaks, devices.

Deterministic: the same steps are taken at every run.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.dispatch.town import NOON_MS, Town
from xiaohe.dispatch.eligibility import is_on_break, is_on_duty
from xiaohe.dispatch.snapshot import from_rows, rows

MINUTE_MS = 60_000
SHIFTS = {"none": [], "0-10": [(0, 10)], "5-20": [(5, 20)], "15-40": [(15, 40)]}
BRIGADE = "member at shift\nm1 b 0-10\nm2 c 5-20\nm3 e none"
members = st.sampled_from(["m1", "m2", "m3"])
devices = st.lists(st.sampled_from(["cam-1", "cam-2", "cam-3"]), max_size=3)


class AnyDuty(RuleBasedStateMachine):
    """Words in any order while shifts begin and end, and rosters change."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(BRIGADE)
        self.shifts = {"m1": "0-10", "m2": "5-20", "m3": "none"}
        self.words: dict[str, tuple[bool, float]] = {}
        self.breaks: dict[str, float] = {}
        self.taken: dict[str, str] = {}

    @property
    def minute(self) -> float:
        """How long the story has gone on."""
        return (self.town.now_ms - NOON_MS) / MINUTE_MS

    def _until(self, who: str) -> float:
        """The next boundary of their shifts; a word holds until then."""
        bounds = [bound for shift in SHIFTS[self.shifts[who]] for bound in shift]
        return min((bound for bound in bounds if bound > self.minute), default=float("inf"))

    @rule(who=members, on=st.booleans(), devices=devices)
    def a_word(self, who: str, on: bool, devices: list[str]) -> None:
        """Somebody comes, with devices, or goes."""
        word = "on_duty" if on else "off_duty"
        self.town.member(who).declares(word, device_ids=tuple(devices))
        self.words[who] = (on, self._until(who))
        self.breaks.pop(who, None)
        self.taken = {device: by for device, by in self.taken.items() if by != who}
        self.taken |= dict.fromkeys(devices, who) if on else {}

    @rule(who=members, begins=st.booleans())
    def a_break(self, who: str, begins: bool) -> None:
        """Somebody takes a break, or is back."""
        self.town.member(who).declares("break" if begins else "resume")
        self.breaks.pop(who, None)
        if begins:
            self.breaks[who] = self._until(who)

    @rule(minutes=st.sampled_from([1, 4, 5, 10, 25]))
    def time_passes(self, minutes: int) -> None:
        """Shifts begin and end."""
        self.town.now_ms += minutes * MINUTE_MS
        self.town.reported_ms = self.town.now_ms

    @rule(who=members, shift=st.sampled_from(sorted(SHIFTS)))
    def a_roster_change(self, who: str, shift: str) -> None:
        """Other hours: they leave the word that was given as it is."""
        self.town.hire(who, shift=shift)
        self.shifts[who] = shift

    @invariant()
    def everybody_is_where_the_model_has_them(self) -> None:
        """At this moment, and as a snapshot has it."""
        state, minute = self.town.state, self.minute
        for who, name in self.shifts.items():
            on, until = self.words.get(who, (False, -1.0))
            on_shift = any(start <= minute < end for start, end in SHIFTS[name])
            wanted = on if minute < until else on_shift
            assert is_on_duty(state, self.town.world, who, self.town.now_ms) == wanted, who
            rests = minute < self.breaks.get(who, -1.0)
            assert is_on_break(state, who, self.town.now_ms) == rests, who
        assert dict(state.devices.items()) == self.taken
        for who, word in state.duty.items():
            assert set(word.device_ids) == {d for d, by in self.taken.items() if by == who}
        if self.town.decisions:
            assert from_rows(rows({state.area_id: state})) == {state.area_id: state}


TestAnyDuty = AnyDuty.TestCase
TestAnyDuty.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
