"""``xiaohe replay``: a recorded log folded and decided again, and every difference pointed at."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from xiaohe.commands.clusters import cluster_of
from xiaohe.commands.explain import roads_files
from xiaohe.commands.options import NOTHING_SAID, DataDir, Json, Kafka, PolicyFile, Servers, Speed
from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.output import say, say_json
from xiaohe.places import DATA_DIR, POLICY, read_file
from xiaohe.progress_bar import progress_bar
from xiaohe.replay.account import Account
from xiaohe.replay.recording import Recording
from xiaohe.topics import load_topics
from xiaohe.wire.cluster_access import Cluster

PIPED_COLUMNS: Final = 140
"""Width where standard output is no terminal: that of the table."""

TheRecording = Annotated[
    Path | None, Parameter(help="A folder that --record wrote; else what Kafka holds now.")
]
RecordTo = Annotated[
    Path | None, Parameter(name="--record", help="Keep what is replayed in this new folder.")
]
LogsRoads = Annotated[
    tuple[Path, ...],
    Parameter(name="--roads", help="A roads file that was decided on; may be given again."),
]
FoldOnly = Annotated[
    bool, Parameter(name="--fold-only", negative="", help="Fold the log; decide nothing again.")
]


def replay(
    recording: TheRecording = None,
    /,
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    record: RecordTo = None,
    roads: LogsRoads = (),
    policy: PolicyFile = None,
    speed: Speed = 1.0,
    fold_only: FoldOnly = False,
    json: Json = False,
) -> int:
    """Fold the decisions log from its beginning and from its snapshots, and compare the states;
    decide every recorded decision again from its inputs, and compare it fact by fact.

    Policy and roads files are to be those that were decided on, --speed that of the demo, if it
    was one: a decision that names others cannot be compared, and is counted so. Nothing is written
    to Kafka. Exit status 1 where anything differs.
    """
    at_hand = _policy(policy, speed)
    with tempfile.TemporaryDirectory(prefix="xiaohe-replay-") as scratch:
        folder = recording
        if folder is None:
            folder = record or Path(scratch) / "recording"
            _record(cluster_of(bootstrap_servers, data_dir, kafka), folder)
        account = _replay(Recording(folder), roads, data_dir, at_hand, fold_only=fold_only)
    if json:
        say_json(account.as_json())
    else:
        _draw(account)
    return account.exit_status


def _policy(policy: Path | None, speed: float) -> Policy:
    base = POLICY.read_bytes()
    if policy is None or policy.resolve() == POLICY.resolve():
        return load_policy(base, speed=speed)
    return load_policy(read_file(policy), base=base, speed=speed)


def _record(cluster: Cluster, folder: Path) -> None:
    from xiaohe.replay.reading import record_topics  # noqa: PLC0415 - only to read a Kafka

    with progress_bar() as watch:
        asyncio.run(record_topics(cluster, load_topics(), folder, watch))


def _replay(
    recording: Recording,
    roads: tuple[Path, ...],
    data_dir: Path,
    policy: Policy,
    *,
    fold_only: bool,
) -> Account:
    from xiaohe.replay.account import replay as replayed  # noqa: PLC0415 - the engine loads slowly
    from xiaohe.replay.world import AtHand  # noqa: PLC0415 - the same

    files = [*roads, *roads_files(None, data_dir)]
    personal = frozenset(topic.id for topic in load_topics() if topic.personal)
    at_hand = AtHand(files, policy, personal)
    with progress_bar() as watch:
        return replayed(recording, at_hand, watch, fold_only=fold_only)


def _draw(account: Account) -> None:
    """Draw the account; plain, and without spaces at the ends, when piped."""
    from xiaohe.replay.telling import picture  # noqa: PLC0415 - only for people

    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        console.print(picture(account))
        return
    console.width = PIPED_COLUMNS
    with console.capture() as drawn:
        console.print(picture(account), soft_wrap=True)
    say("\n".join(line.rstrip() for line in drawn.get().rstrip().splitlines()))
