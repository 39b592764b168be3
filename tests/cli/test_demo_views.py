"""What the demo shows: the picture fits its terminal, and signs do not rest on colour alone."""

import io
from zoneinfo import ZoneInfo

import orjson
import pytest
from rich.console import Console

from tests.sim.people import START_MS, entry, streets
from xiaohe.demo_summary import summary_table
from xiaohe.live_picture import Picture, Scene
from xiaohe.live_view import LiveView, PlainView, make_view
from xiaohe.sim.account import Ledger
from xiaohe.sim.brigade import Brigade
from xiaohe.sim.bus import Heard, Place
from xiaohe.sim.calls import Calls
from xiaohe.sim.members import Profile
from xiaohe.sim.timescale import Timescale
from xiaohe.sim.words import Line, Narrator

SIZES = [(80, 24), (160, 45), (60, 16)]


def stamp(scale: Timescale, seconds: float) -> str:
    """A simulated time as the topics have it."""
    return scale.stamp(START_MS + 1000 * seconds)


def heard(topic: str, value: dict) -> Heard:
    """A record of a topic."""
    return Heard(topic, Place(topic, 0, 0), b"drawn", orjson.dumps(value), 0.0)


def view_of(scale: Timescale, n: int, **timeline: float) -> dict:
    """An incident as the engine shows it."""
    milestones = dict.fromkeys(
        ("dispatched", "accepted", "en_route", "arrived", "backup_required", "backup_arrived")
    )
    at = milestones | {k: stamp(scale, s) for k, s in timeline.items()}
    return {
        "incident_id": f"i{n}", "last_seq": 2, "state": "accepted", "priority": 1 + n % 4,
        "category": "noise", "road_id": "很长的路名字/另一条很长的路-第三条很长的路",
        "assignments": [
            {"dispatch_id": f"d{n}", "member_id": "m01", "role": "primary", "state": "en_route",
             "end": None},
            {"dispatch_id": f"b{n}", "member_id": "m02", "role": "backup", "state": "ordered",
             "end": None},
        ],
        "timeline": at | {"received": stamp(scale, 0)},
        "deadlines": {"accept_by": stamp(scale, 60), "arrive_by": stamp(scale, 180),
                      "backup_by": stamp(scale, 300)},
    }  # fmt: skip


def scene(incidents: int, passed_s: float, speed: float = 1.0, **timeline: float) -> Scene:
    """A scene ``passed_s`` simulated seconds in, with so many incidents that all began at 0."""
    scale = Timescale(START_MS, speed)
    on = streets()
    profiles = [Profile.of(entry(f"m{n:02}", name=f"队员{n}")) for n in range(1, 13)]
    one = Brigade(profiles, on, Calls(on, (), 1, 0.0), scale, seed=1, run_id="r")
    one.step(START_MS)
    ledger = Ledger()
    for n in range(incidents):
        cause = {"topic": "alerts", "partition": 0, "offset": n}
        opened = {"alert_id": f"a{n}", "category": "noise", "priority": 2, "road_id": "ab"}
        ledger.take(heard("incident_events", {
            "type": "incident.opened", "incident_id": f"i{n}", "cause": cause, "data": opened,
            "at": stamp(scale, 0),
        }))  # fmt: skip
        ledger.take(heard("dispatches", {
            "dispatch_id": f"d{n}", "alert_id": f"a{n}", "state": "ordered", "eta_s": 12.0,
            "distance_m": 300.0, "why": {"rule": "owner"},
        }))  # fmt: skip
        ledger.take(heard("incidents", view_of(scale, n, **timeline)))

    class Still(Scene):
        def now_ms(self) -> int:
            return START_MS + round(1000 * passed_s)

    shown = Still(scale, one, ledger, 20.0, "drawn", ZoneInfo("Asia/Shanghai"), 180.0)
    for n in range(40):
        shown.lines.append((START_MS, Line("warn", f"! event {n} " + "很长" * 60)))
    return shown


def drawn(what: Scene, width: int, height: int) -> list[str]:
    """The rows of the picture in a terminal of this size."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True,
                      color_system=None)  # fmt: skip
    lines = console.render_lines(Picture(what), console.options.update(height=height))
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("incidents", [0, 3, 80])
def test_the_picture_fits_its_terminal(width: int, height: int, incidents: int):
    """However much there is to show: no more rows than the terminal has, header and legend kept."""
    lines = drawn(scene(incidents, 30.0), width, height)
    assert len(lines) <= height
    assert "Xiaohe" in lines[0]
    assert "asked" in lines[-1]
    assert f"{incidents} open incidents" in "\n".join(lines)


@pytest.mark.parametrize(
    ("passed_s", "timeline", "expected"),
    [
        (10, {}, "50"),
        (50, {}, "! 10"),
        (75, {}, "✗ +15"),
        (75, {"accepted": 12}, "✓ 12"),
        (75, {"accepted": 70}, "✗ 70"),
    ],
    ids=["runs", "runs out", "missed", "met", "met too late"],
)
def test_a_window_has_a_sign_of_its_own(passed_s, timeline, expected):
    """The first window counts down; ! when it runs out, ✓ met, ✗ missed, without any colour."""
    what = scene(1, passed_s, dispatched=0, **timeline)
    (row,) = [line for line in drawn(what, 160, 45) if "noise" in line]
    assert expected in row


def test_durations_are_multiplied_back():
    """At ten times the speed an eta of 12 s on the topics is shown as 120 s."""
    (row,) = [line for line in drawn(scene(1, 10, speed=10.0), 160, 45) if "noise" in line]
    assert " 120 " in row


def test_an_incident_shows_who_was_sent_by_which_rule():
    """The first responder, the backup, and the rule."""
    (row,) = [line for line in drawn(scene(1, 10), 160, 45) if "noise" in line]
    assert "»队员1" in row
    assert "+?队员2" in row
    assert "owner" in row


def test_plain_lines_tell_the_rate_and_every_event():
    """Where there is no terminal, it is lines: the rate first, then what happens, then how it
    stands."""
    out = io.StringIO()
    view = PlainView(Console(file=out, width=100))
    what = scene(2, 5)
    view.banner(["nothing is kept"])
    view.phase("starting")
    view.ready(what, {})
    view.happened(START_MS, Line("good", "✓ [队员1] accepts"), {})
    view.stack_event({"event": "restarted", "part": "worker", "pid": 7})
    view.tick()
    view.close()
    told = out.getvalue()
    for words in ("nothing is kept", "starting", "34 × a real day's", "✓ [队员1] accepts",
                  "worker was started again", "2 open"):  # fmt: skip
        assert words in told


def test_standard_output_that_is_no_terminal_gets_plain_lines(capsys: pytest.CaptureFixture[str]):
    """Under a test runner standard output is no terminal."""
    assert isinstance(make_view(json=False), PlainView)


def test_the_live_view_shows_the_start_step_by_step():
    """Each step of the start is named while it runs, and ticked off with its time."""
    out = io.StringIO()
    view = LiveView(Console(file=out, width=80, height=24, force_terminal=True))
    view.phase("fetching Kafka")
    view.phase("starting the broker")
    view.close()
    assert "✓ fetching Kafka" in out.getvalue()
    assert "starting the broker" in out.getvalue()


COUNTS = {"met": 3, "missed": 1, "void": 0, "running": 2}

SUMMARY = {
    "alerts": 10, "incidents": 7, "orders": 9, "dead_letters": 3, "lost": 0, "decided": 8,
    "repeats": 1, "alerts_dead_lettered": 2, "seconds": 61.0, "speed": 10.0, "seed": 1,
    "windows": dict.fromkeys(("accept", "arrive", "backup"), COUNTS),
    "windows_urgent": dict.fromkeys(("accept", "arrive", "backup"), COUNTS),
    "urgent_windows_s": {"accept": 60.0, "arrive": 180.0, "backup": None},
    "dead_letter_reasons": {"not_json": 2},
    "intervals": {
        "turnout_s": {"n": 2, "p50": 20.0, "p90": 30.0, "mean": 25.0},
        "travel_s": {"n": 0, "p50": None, "p90": None, "mean": None},
    },
    "alert_to_order_ms": {"p50": 9.1, "p99": 20.0, "n": 5},
}  # fmt: skip


def text_of(summary: dict) -> str:
    """The summary as text."""
    out = io.StringIO()
    Console(file=out, width=100).print(summary_table(summary))
    return out.getvalue()


def test_the_summary_has_the_account_and_dashes_for_what_is_unknown():
    """Alerts in = decided + dead-lettered; 3 of 4 is 75 %; no travel time is a dash, not a 0."""
    told = text_of(SUMMARY)
    assert "✓ 10 alerts in = 8 decided (1 said nothing new) + 2 dead-lettered, 0 lost" in told
    assert "75 %" in told
    (travel,) = [line for line in told.splitlines() if "travel" in line]
    assert travel.count("—") == 3
    assert "p50 9.1, p99 20.0" in told


def test_a_loss_cannot_be_overlooked():
    """What is lost is told in capitals, with a cross."""
    assert "✗ 10 alerts in" in text_of(SUMMARY | {"lost": 1})
    assert "1 LOST" in text_of(SUMMARY | {"lost": 1})


def test_events_are_told_in_words():
    """Whom, where, by which rule, how far away; and nothing of an incident from before the run."""
    narrator = Narrator(lambda member_id: {"m01": "孙某"}.get(member_id, member_id), speed=10.0)
    order = {"type": "member.dispatched", "incident_id": "i1", "data": {
        "member_id": "m01", "role": "primary", "eta_s": 8.5, "why": {"rule": "owner"},
    }}  # fmt: skip
    assert narrator.tell(order) is None
    data = {"category": "dispute", "priority": 2, "road_id": "长征桥五弄/甲-乙"}
    told = narrator.tell({"type": "incident.opened", "incident_id": "i1", "data": data})
    assert told.words == "P2 quarrel at 长征桥五弄"
    words = narrator.tell(order).words
    assert words == "→ 孙某 sent to quarrel at 长征桥五弄: owner of the road, 85 s away"
