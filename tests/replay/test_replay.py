"""``xiaohe replay`` on recordings of a real engine at work: equal where nothing changed, and told
where something did."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from tests.geo import maps
from tests.streams.works import OTHER_STREETS, RULES, STREETS, Works, home, invented, works
from xiaohe.cli import run
from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.geo.roads import write_roads
from xiaohe.places import POLICY
from xiaohe.replay.account import Account, replay
from xiaohe.replay.again import Doubt
from xiaohe.replay.recording import Recording, RecordingWriter
from xiaohe.replay.world import AtHand
from xiaohe.streams.decision_log import VERSION, Decision, SnapshotPiece, decode
from xiaohe.streams.ports import Raw

TOWN = home("town")


@dataclass(frozen=True)
class Recorded:
    """A recording, with the files that it was decided on."""

    folder: Path
    roads: Path
    policy: Path
    deaths: int

    def again(self, folder: Path | None = None, **said: Any) -> Account:
        """Replay it, or a changed copy of it."""
        return replay(Recording(folder or self.folder), self.at_hand(**said))

    def at_hand(self, policy: Policy | None = None, roads: tuple[Path, ...] = ()) -> AtHand:
        """What it was decided on, unless told otherwise."""
        used = policy or load_policy(self.policy.read_bytes(), base=POLICY.read_bytes())
        return AtHand(roads or (self.roads,), used, frozenset())

    def copy(self, to: Path, changes: Mapping[str, Callable[[list[Raw]], list[Raw]]]) -> Path:
        """Write it again with some topics of the town's partition, or the roster, changed. What is
        taken away at the beginning of a topic is as if retention had removed it."""
        was = Recording(self.folder)
        writer = RecordingWriter(to, was.contents.partitions, was.contents.topic_names)
        for extent in was.contents.extents:
            records = list(was.read(extent.topic, extent.partition))
            start = extent.start
            if extent.topic in changes and (extent.partition == TOWN or extent.topic == "roster"):
                records = changes[extent.topic](records)
                start = records[0].offset if records else extent.end
            writer.write(extent.topic, extent.partition, range(start, extent.end), records)
        writer.finish()
        return to


def recorded(folder: Path, play: Callable[[Works], Any], **said: Any) -> Recorded:
    """Let a worker work, and record it."""

    async def work() -> int:
        async with works(folder, **said) as here:
            await play(here)
            here.record(folder / "recording")
            return here.deaths

    with capture_logs():
        deaths = asyncio.run(work())
    return Recorded(folder / "recording", folder / "roads.geojson", folder / "policy.yaml", deaths)


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """An invented quarter of an hour, in which the worker dies now and then."""

    async def play(here: Works) -> None:
        await invented(here, 3, moments=24)

    return recorded(tmp_path_factory.mktemp("hour"), play)


def test_everything_is_decided_again_as_it_was(hour: Recorded) -> None:
    """Over crashes and take-overs, from the positions that each owner had learned; every way of
    folding gives the same state, and every snapshot is what the log before it folds to."""
    account = hour.again()
    assert hour.deaths >= 2
    line = account.as_json()
    assert line["differences"] == []
    assert account.faults == []
    assert line["equal"] == line["decisions"] > 200
    assert line["snapshots"] >= 4
    assert line["take_overs"] > 4
    assert account.exit_status == 0
    for each in account.partitions:
        assert each.folded.hash == each.folded.hash_from_snapshot


def test_several_decisions_upon_one_input_are_decided_again_together(tmp_path: Path) -> None:
    """Members who arrive in one batch of positions are a decision each: all are compared."""

    async def play(here: Works) -> None:
        await here.run_to(1)
        here.batch(here.fix("c", member_id="m1"), here.fix("g", member_id="m3"))
        here.alert("a1", "a")
        here.alert("a2", "j")
        await here.run_to(5)
        for member_id in ("m1", "m3", "m4", "m6"):
            here.says(member_id, "accept")
        await here.run_to(10)
        for second in range(11, 31, 4):
            at = ("a", "j", "a", "j") if second % 8 == 3 else ("j", "a", "j", "a")
            members = ("m1", "m3", "m4", "m6")
            here.batch(*(here.fix(j, member_id=m) for j, m in zip(at, members, strict=True)))
            await here.run_to(second)

    several = recorded(tmp_path, play)
    logged = [decode(raw.value or b"") for raw in Recording(several.folder).read("decisions", TOWN)]
    decisions = [entry for entry in logged if isinstance(entry, Decision)]
    assert any(entry.more for entry in decisions)
    account = several.again()
    line = account.as_json()
    assert line["differences"] == []
    assert line["equal"] == line["decisions"] == len(decisions)


def test_a_rule_that_has_changed_is_found(hour: Recorded) -> None:
    """Of the same name as then, and another value in it: told with its first difference."""
    changed = RULES.replace("offer_s: 10", "offer_s: 11").encode()
    policy = load_policy(changed, base=POLICY.read_bytes())
    policy.version = hour.at_hand().policy.version
    account = hour.again(policy=policy)
    assert account.exit_status == 1
    assert account.faults == []
    assert account.count("differing") > 5
    assert account.count("equal") > account.count("differing")
    first = account.differences[0]
    assert first.topic == "alerts"
    assert json.loads(first.input)["alert_id"].startswith("a3-")
    assert first.place.where.startswith("decision.facts[")
    assert first.place.where.endswith("(deadline.set).due_ms")
    assert int(first.place.again) - int(first.place.recorded) == 1_000


def test_a_policy_of_another_version_is_not_compared(hour: Recorded) -> None:
    """Nothing is said about decisions that were made by other rules."""
    policy = load_policy(RULES.replace("10", "12").encode(), base=POLICY.read_bytes())
    account = hour.again(policy=policy)
    assert account.exit_status == 0
    assert account.count("equal") == 0
    assert set(account.not_comparable) == {Doubt.OTHER_POLICY}


def test_a_fact_altered_by_hand_is_pointed_at(hour: Recorded, tmp_path: Path) -> None:
    """One record, one difference, at its place; the snapshot after it tells, too."""
    offsets: list[int] = []

    def alter(records: list[Raw]) -> list[Raw]:
        at = next(n for n, r in enumerate(records) if b'"member.dispatched"' in (r.value or b""))
        entry = json.loads(records[at].value or b"")
        fact = next(f for f in entry["record"]["decision"]["facts"] if "eta_s" in f)
        fact["eta_s"] = 1234.5
        offsets.append(records[at].offset)
        records[at] = _with(records[at], entry)
        return records

    account = hour.again(hour.copy(tmp_path / "altered", {"decisions": alter}))
    assert account.exit_status == 1
    told = account.differences[0]
    assert [told.offset] == offsets
    assert told.place.where.endswith("(member.dispatched).eta_s")
    assert told.place.recorded == "1234.5"
    assert any("is not what the log before it folds to" in fault for fault in account.faults)


def _with(raw: Raw, entry: Any) -> Raw:
    return structs.replace(raw, value=json.dumps(entry, separators=(",", ":")).encode())


def _head(raw: Raw) -> Any:
    return json.loads((raw.value or b"").partition(b"\n")[0])


def test_a_snapshot_that_says_something_else_is_found(hour: Recorded, tmp_path: Path) -> None:
    """Whole by its digest, and not the state: the fold from it does not agree either."""

    def alter(records: list[Raw]) -> list[Raw]:
        pieces = [n for n, r in enumerate(records) if isinstance(_entry(r), SnapshotPiece)]
        first, last = pieces[0], next(n for n in pieces if _head(records[n])["count"])
        whole = sha256()
        for n in pieces:
            body = (records[n].value or b"").partition(b"\n")[2]
            if n == first:
                body = body.replace(b'"mode":"peacetime"', b'"mode":"emergency"', 1)
            whole.update(body)
            said = _head(records[n])
            if n == last:
                said["digest"] = whole.hexdigest()
            records[n] = structs.replace(records[n], value=json.dumps(said).encode() + b"\n" + body)
            if n == last:
                return records
        raise AssertionError("a snapshot has an end")

    account = hour.again(hour.copy(tmp_path / "altered", {"decisions": alter}))
    assert account.exit_status == 1
    assert any("is not what the log before it folds to" in fault for fault in account.faults)
    assert any("is not what is folded from the beginning" in fault for fault in account.faults)


def _entry(raw: Raw) -> object:
    return decode(raw.value or b"")


def test_positions_that_are_gone_are_a_reason_and_no_difference(
    hour: Recorded, tmp_path: Path
) -> None:
    """What does not depend on them is still compared, and equal."""
    whole = hour.again()
    half = hour.copy(tmp_path / "half", {"positions": lambda records: records[len(records) // 2 :]})
    account = hour.again(half)
    assert account.exit_status == 0
    assert set(account.not_comparable) == {Doubt.POSITIONS_GONE}
    assert account.count("equal") + account.not_comparable.total() == whole.count("equal")
    assert account.count("equal") > whole.count("equal") // 2
    assert [p.folded.hash for p in account.partitions] == [p.folded.hash for p in whole.partitions]


def test_an_input_that_is_gone_is_a_reason(hour: Recorded, tmp_path: Path) -> None:
    """Each decision on it is counted so; those after it are decided on what was recorded."""
    rest = hour.copy(tmp_path / "rest", {"alerts": lambda records: records[3:]})
    account = hour.again(rest)
    assert account.exit_status == 0
    assert account.not_comparable == Counter({Doubt.INPUT_GONE: 3})


def test_a_log_that_begins_with_a_snapshot_is_folded_from_it(
    hour: Recorded, tmp_path: Path
) -> None:
    """Its beginning is gone: the same state, and what its first owner decided is not compared."""

    def trim(records: list[Raw]) -> list[Raw]:
        at = next(n for n, r in enumerate(records) if isinstance(_entry(r), SnapshotPiece))
        return records[at:]

    account = hour.again(hour.copy(tmp_path / "trimmed", {"decisions": trim}))
    whole = hour.again()
    assert account.exit_status == 0
    assert account.hash == whole.hash
    assert set(account.not_comparable) == {Doubt.LOG_BEGINS_LATER}


# --- the world changes --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Members come and go, and the map is exchanged, while people move and alerts come."""

    async def play(here: Works) -> None:
        await here.run_to(1)
        for n in range(12):
            here.batch(*(here.fix("abcdefgh"[(n + i) % 8], member_id=m)
                         for i, m in enumerate(("m1", "m3", "m6"))))  # fmt: skip
            here.alert(f"c{n}", "abcdefghj"[n % 9], priority=1 + n % 3)
            await here.run_to(2 + 20 * n)
            for member_id in ("m1", "m2", "m4", "m9"):
                here.says(member_id, ("accept", "complete")[n % 2])
            if n in {3, 7}:
                here.hire("m9", post=here.place("j"), travel_mode="walk" if n == 7 else "ebike")
                here.hire("m2", area_id="town" if n == 7 else "east")
            if n == 5:
                here.new_map(OTHER_STREETS)
            if n == 9:
                here.dies_at("published_0")
            here.batch(here.fix("b", member_id="m1"), here.fix("f", device_id="tracker-2"))
        await here.run_to(600)

    folder = tmp_path_factory.mktemp("changing")
    made = recorded(folder, play)
    (folder / "first.geojson").write_bytes(write_roads(maps.pieces(STREETS)))
    return made


def both_maps(made: Recorded) -> tuple[Path, Path]:
    """The map of the end and that of the beginning."""
    return made.roads, made.roads.parent / "first.geojson"


def test_roster_and_map_change_where_they_did(changing: Recorded) -> None:
    """The log says before which positions each change was, so that all is decided again."""
    account = changing.again(roads=both_maps(changing))
    assert account.as_json()["differences"] == []
    assert account.count("equal") == account.as_json()["decisions"]


def test_a_map_that_is_not_at_hand_is_a_reason(changing: Recorded) -> None:
    """What was decided on it is not compared; what comes out equal after it is equal."""
    account = changing.again(roads=both_maps(changing)[:1])
    assert account.exit_status == 0
    assert account.not_comparable[Doubt.OTHER_MAP] > 10
    assert set(account.not_comparable) <= {Doubt.OTHER_MAP, Doubt.MAP_BEFORE}
    assert account.count("equal") > 10


def test_a_roster_that_was_compacted_is_a_reason(changing: Recorded, tmp_path: Path) -> None:
    """Where somebody's former record is gone, a difference may be its; at the end of the topic
    everything that counts is there."""

    def compact(records: list[Raw]) -> list[Raw]:
        newest = {raw.key: raw.offset for raw in records}
        return [raw for raw in records if newest[raw.key] == raw.offset]

    compacted = changing.copy(tmp_path / "compacted", {"roster": compact})
    account = changing.again(compacted, roads=both_maps(changing))
    assert account.exit_status == 0
    assert set(account.not_comparable) == {Doubt.ROSTER_COMPACTED}
    assert account.count("equal") > 10


# --- the command --------------------------------------------------------------------------------


def here(*arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run ``xiaohe replay`` in this process: its exit status, and what it printed."""
    status = run(["replay", *arguments])
    return status, *capfd.readouterr()


def test_the_command_tells_the_same_whatever_the_hash_seed(
    hour: Recorded, capfd: pytest.CaptureFixture[str]
) -> None:
    """Decisions and states depend on no order of a set or a map; one JSON line, exit status 0."""
    line = [str(hour.folder), "--roads", str(hour.roads), "--policy", str(hour.policy), "--json"]
    other = subprocess.run(
        [sys.executable, "-m", "xiaohe", "replay", *line],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert (other.returncode, other.stderr) == (0, "")
    assert here(*line, capfd=capfd) == (0, other.stdout, "")
    [text] = other.stdout.splitlines()
    said = json.loads(text)
    assert said["equal"] == said["decisions"]
    assert said["hash"] == hour.again().hash


def test_the_command_points_at_what_differs(
    hour: Recorded, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """For people: a table, the difference with its input and both values, exit status 1."""

    def alter(records: list[Raw]) -> list[Raw]:
        at = next(n for n, r in enumerate(records) if b'"incident.opened"' in (r.value or b""))
        entry = json.loads(records[at].value or b"")
        entry["record"]["decision"]["facts"][0]["needed"] = 7
        records[at] = _with(records[at], entry)
        return records

    folder = hour.copy(tmp_path / "altered", {"decisions": alter})
    files = ("--roads", str(hour.roads), "--policy", str(hour.policy))
    status, told, _ = here(str(folder), *files, capfd=capfd)
    assert status == 1
    for words in ("partition  decisions", "DIFFERS: decision", "(incident.opened).needed",
                  "recorded   7", "now        1", "NOT the same"):  # fmt: skip
        assert words in told, told


def test_what_cannot_be_replayed_is_said_in_a_sentence(
    hour: Recorded, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No recording, a broken one, one of a newer program: exit status 1, and what to do."""
    status, told, fault = here(str(tmp_path / "nothing"), capfd=capfd)
    assert (status, told) == (1, "")
    assert "--record FOLDER" in fault

    cut = hour.copy(tmp_path / "cut", {})
    file = cut / f"decisions-{TOWN}.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-200])
    status, told, fault = here(str(cut), capfd=capfd)
    assert (status, told) == (1, "")
    assert "is broken after" in fault
    assert "record it again" in fault

    def later(records: list[Raw]) -> list[Raw]:
        at = next(n for n, r in enumerate(records) if isinstance(_entry(r), Decision))
        entry = json.loads(records[at].value or b"")
        records[at] = _with(records[at], {**entry, "v": VERSION + 1})
        return records

    newer = hour.copy(tmp_path / "newer", {"decisions": later})
    status, told, fault = here(str(newer), capfd=capfd)
    assert (status, told) == (1, "")
    assert "start the newer program" in fault
