"""Makes the stored sample of the present version of the decisions log.

    python -m tests.streams.log_sample            # a new version: writes tests/data/logs/v<N>/
    python -m tests.streams.log_sample --replace  # that of a version that no release has had yet
    python -m tests.streams.log_sample --hash     # where what is there is meant to fold otherwise

A sample is a recording (``xiaohe.replay.recording``) of an invented brigade at work on the real
engine, with every kind of entry and every fact, and with its map and policy. ``expected.json`` has
the hashes of each partition's state and of all that it publishes, ``shape.json`` says what the
structs look like. Samples of former versions are never made again: they are what logs of that
time look like.
"""

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from structlog.testing import capture_logs

from tests.geo import maps
from tests.streams.works import RULES, STREETS, Works, home, works
from xiaohe.dispatch.policy import load_policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.snapshot import states_hash
from xiaohe.dispatch.state import DutyWord, Incident, SeenAlert
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.snap import Snapper
from xiaohe.places import POLICY
from xiaohe.replay.recording import Recording
from xiaohe.streams.decision_log import VERSION, Entry
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.folding import Folding
from xiaohe.streams.memory_log import DECISIONS
from xiaohe.streams.ports import LogRecord, Publication
from xiaohe.streams.step_record import Record

LOGS = Path(__file__).parents[1] / "data" / "logs"
"""A folder a version: v1, v2, …"""

EXPECTED = "expected.json"
"""Of each partition, the hash of the state that its log folds to, and of what follows from it."""

SHAPE = "shape.json"
"""The structs of the log, as JSON Schema without descriptions."""

LOGGED = (Entry, Record, Incident, SeenAlert, DutyWord)
"""What lies in the log: entries, what a decision holds, and the rows of a snapshot."""

WORDS = {"description", "title"}

QUIET_RULES = RULES.replace("offer_s: 10", "offer_s: 10, retry_s: 120")
"""Who cannot be found is not looked for so often: the sample is to be small."""


async def play(here: Works) -> None:
    """Let everything happen once that can be recorded."""
    await here.run_to(1)
    everybody = ("m1", "m3", "m6")
    here.batch(*(here.fix(j, member_id=m) for j, m in zip("beh", everybody, strict=True)))
    await _answers(here)
    await _desk(here)
    await _windows(here)
    await _bad_input(here)
    await _deaths(here)
    await here.run_to(1500)


async def _answers(here: Works) -> None:
    here.alert("fight", "a", priority=1)
    await here.run_to(5)
    here.says("m1", "accept")
    here.says("m4", "decline", reason="unwell")
    await here.run_to(10)
    here.send("positions", here.fix("a", member_id="m1"))
    await here.run_to(12)
    here.says("m1", "request_backup", reason="many people")
    here.says("m6", "on_duty", device_ids=["van-1"])
    here.says("m3", "break")
    await here.run_to(15)
    here.says("m3", "resume")
    for member_id in ("m2", "m3", "m4", "m6"):
        here.says(member_id, "arrive")
    await here.run_to(25)
    here.says("m1", "complete", outcome="settled")
    here.alert("found", "h", reported_by="m6", category="stall")
    here.send("positions", here.fix("e", member_id="m3", alarm="sos"))
    await here.run_to(40)


async def _desk(here: Works) -> None:
    fight, found = here.incident("fight"), here.incident("found")
    for action in ("refer", "return_visit", "close"):
        here.desk(action, incident_id=fight, reason="the usual way")
    here.desk("reopen", incident_id=fight)
    here.desk("set_mode", mode="emergency", reason="storm")
    here.desk("close_road", road_id="be")
    here.desk("update", incident_id=found, fields={"priority": 2, "category": "noise"})
    here.desk("message", incident_id=found, text="Invented words.")
    await here.run_to(50)
    here.alert("same-1", "c")
    here.alert("same-2", "c")
    here.alert("other", "d", category="noise")
    await here.run_to(60)
    other = here.incident("other")
    here.desk("merge", incident_id=other, into=here.incident("same-1"))
    await here.run_to(61)
    here.desk("unmerge", incident_id=other)
    here.desk("dispatch", incident_id=other, member_id="m7")
    here.desk("stand_down", incident_id=here.incident("same-1"))
    await here.run_to(65)
    here.desk("cancel", incident_id=here.incident("same-1"))
    here.desk("open_road", road_id="be")
    here.desk("set_mode", mode="peacetime")
    await here.run_to(80)


async def _windows(here: Works) -> None:
    """Nobody answers; a neighbour is asked; the ladder is climbed and acknowledged."""
    here.alert("unheard", "j", priority=1, needed=3)
    await here.run_to(85)
    asked = [m for m in ("m1", "m2", "m3", "m4", "m6", "m7", "m8") if here.held(m)]
    here.says(asked[0], "decline", reason="unwell")
    here.says(asked[1], "accept")
    await here.run_to(200)
    here.desk("acknowledge", incident_id=here.incident("unheard"))
    here.alert("asked", "c", area="east")
    await here.run_to(230)
    here.says("e1", "accept", area="east")
    here.hire("m9", post=here.place("j"))
    await here.run_to(600)


async def _bad_input(here: Works) -> None:
    here.send("alerts", b"no JSON")
    here.says("m1", "dance")
    here.alert("fight", "a", area="east")  # an id of another area: an incident of its own
    here.send("positions", here.fix("a", device_id="nobodys"))
    elsewhere = 1 - home("town")
    here.send("member_actions", {"action_id": "x"}, partition=elsewhere)
    here.alert("astray", "b")
    value = here.topics.read("alerts", home("town"))[-1].value or b""
    here.send("alerts", value.replace(b"astray", b"really"), partition=elsewhere)
    await here.run_to(620)


async def _deaths(here: Works) -> None:
    for number, place in enumerate(("appended", "published_0", "appending", "decided")):
        here.dies_at(place)
        here.alert(f"late-{number}", "abcd"[number])
        await here.run_to(640 + 20 * number)
        for member_id in ("m1", "m2", "m6"):
            here.says(member_id, "complete")
        await here.run_to(650 + 20 * number)
    here.alert("bad", "e", category="poison")
    await here.run_to(760)
    here.batch(*(here.fix("b", member_id=m) for m in ("m1", "m6")))
    await here.run_to(1100)


def make(folder: Path) -> None:
    """Record a sample into a folder that does not exist yet; the same bytes whenever it is made."""

    async def made() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            async with works(Path(scratch), rules=QUIET_RULES) as here:
                await play(here)
                here.record(folder)
                save_hashes(folder)
                shutil.copy(here.roads, folder / "roads.geojson")
                shutil.copy(here.policy, folder / "policy.yaml")

    with (
        capture_logs(),
        patch.object(socket, "gethostname", lambda: "invented"),
        patch.object(os, "getpid", lambda: 1),
    ):
        asyncio.run(made())


class Publishing(AreaEngine):
    """An engine that hashes all that it renders."""

    def __init__(self, partition: int, shared: Shared) -> None:
        super().__init__(partition, shared)
        self.published = sha256()

    def fold(self, record: Mapping[str, object], epoch: int) -> tuple[Publication, ...]:
        """Fold a recorded decision, and take note of what it owes."""
        publications = super().fold(record, epoch)
        for each in publications:
            rendered = msgspec.to_builtins(each, builtin_types=(bytes,))
            if each.original is None:
                del rendered["original"]  # older than this field are the hashes of older logs
            self.published.update(msgspec.json.encode(rendered) + b"\n")
        return publications


def hashes(folder: Path) -> dict[str, dict[str, str]]:
    """Fold the decisions of a recording; of each partition the hashes."""
    recording, found = Recording(folder), {}
    network = maps.network(STREETS)
    shared = Shared(
        policy=load_policy(POLICY.read_bytes()),
        roster=Roster(),
        roads=RoadMap(network, Snapper(network)),
        topic_names=recording.contents.topic_names,
        personal=frozenset(),
        partitions=recording.contents.partitions,
    )
    for partition in range(recording.contents.partitions):
        core = Publishing(partition, shared)
        folding = Folding(core, partition)
        for raw in recording.read(DECISIONS, partition):
            folding.feed(LogRecord(raw.offset, raw.timestamp_ms, raw.value or b""))
        assert folding.unfolded == 0, folding.first_unfolded
        state = states_hash(core.states())
        found[str(partition)] = {"state": state, "published": core.published.hexdigest()}
    return found


def save_hashes(folder: Path) -> None:
    """Write what a sample has to fold to."""
    text = json.dumps(hashes(folder), indent=1)
    (folder / EXPECTED).write_text(text + "\n")


def shape() -> dict[str, Any]:
    """Say what all that lies in the log looks like: each struct's fields, types and defaults."""
    _, parts = msgspec.json.schema_components(LOGGED, schema_hook=lambda _: {"anything": True})
    told: dict[str, Any] = _without_words(parts)
    return told


def _without_words(value: Any) -> Any:
    """Leave out what is only said for people."""
    if isinstance(value, dict):
        return {k: _without_words(v) for k, v in sorted(value.items()) if k not in WORDS}
    return [_without_words(each) for each in value] if isinstance(value, list) else value


def main(arguments: list[str]) -> str:
    """Make the sample of the present version; what was done, or why not."""
    if arguments == ["--hash"]:
        for each in LOGS.glob("v*"):
            save_hashes(each)
        return "say in docs/decisions/0010-versioned-log.md why they fold otherwise"
    folder = LOGS / f"v{VERSION}"
    if folder.exists() and arguments != ["--replace"]:
        return (
            f"{folder} is there. What differs from it is a new version: raise VERSION in "
            "streams/decision_log.py. Only where no release has written this version yet, make "
            "it again with --replace."
        )
    shutil.rmtree(folder, ignore_errors=True)
    make(folder)
    (folder / SHAPE).write_text(json.dumps(shape(), indent=1) + "\n")
    return f"{folder} is made"


if __name__ == "__main__":
    print(main(sys.argv[1:]))  # noqa: T201 - a script
