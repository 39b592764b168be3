"""``xiaohe bench``: figures with their ratios, each beside its peers in the same run."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from xiaohe.bench.bursts import bench_bursts
from xiaohe.bench.bursts import table as bursts_table
from xiaohe.bench.geo import SIZES, SMALL, GeoBenchOptions, Size, bench_geo
from xiaohe.bench.geo_table import table as geo_table
from xiaohe.bench.many_open import ManyOpenOptions, bench_many_open
from xiaohe.bench.many_open import table as many_open_table
from xiaohe.bench.matching import bench_matching, rows
from xiaohe.bench.matching import table as matching_table
from xiaohe.bench.recover import RecoverBenchOptions, bench_recover
from xiaohe.bench.recover import table as recover_table
from xiaohe.bench.refusals import bench_refusals
from xiaohe.bench.refusals import table as refusals_table
from xiaohe.bench.stream import StreamBenchOptions, bench_stream, table
from xiaohe.commands.options import Json, positive
from xiaohe.geo.importer import import_roads
from xiaohe.geo.network import Network
from xiaohe.output import note, say, say_json
from xiaohe.places import ROADS

Positive = Annotated[float, Parameter(validator=positive)]
Count = Annotated[int, Parameter(validator=positive)]


def _some(_: object, number: int | None) -> None:
    """Refuse a number of people that is none, for cyclopts to say."""
    if number is not None and number <= 0:
        raise ValueError("must be more than 0")


def _seed(_: object, number: int) -> None:
    """Refuse a seed below 0, which numpy does not take, for cyclopts to say."""
    if number < 0:
        raise ValueError("must be 0 or more")


def _sizes(_: object, text: str) -> None:
    """Refuse names of cities that are not known, for cyclopts to say."""
    unknown = set(text.split(",")) - {"all", "small", *(size.name for size in SIZES)}
    if unknown:
        names = ", ".join(size.name for size in SIZES)
        raise ValueError(f"{min(unknown)!r} is no size: write all, small, or some of {names}")


def stream_(
    *,
    seconds: Positive = 75.0,
    alerts_per_s: Positive = 50.0,
    positions_per_s: Positive = 1000.0,
    members: Count = 1000,
    json: Json = False,
) -> int:
    """Measure alert to order, and positions into the live index, on the one-machine Kafka.

    Beside it, under the same load in the same run: a bare Faust app that passes records through,
    and plain aiokafka.

    Parameters
    ----------
    seconds
        About how long the whole may take, starting included.
    members
        Members of the measured area: enough that somebody is always free.
    """
    options = StreamBenchOptions(
        seconds=seconds,
        alerts_per_s=alerts_per_s,
        positions_per_s=positions_per_s,
        members=members,
        on_progress=lambda what: note(f"… {what}"),
    )
    result = asyncio.run(bench_stream(options))
    if json:
        say_json(result)
    else:
        say(table(result))
    return 0


def recover_(*, incidents: Count = 10_000, kills: Count = 3, json: Json = False) -> int:
    """Measure how long a killed worker's areas wait until they decide again.

    Two workers on the one-machine Kafka; one is killed with `kill -9`, and the other has to find
    out and take over: with no open incident, with 1,000 and with many, in the same run.

    Parameters
    ----------
    incidents
        Open incidents, at most.
    kills
        At each number of open incidents.
    """
    options = RecoverBenchOptions(
        incidents=incidents, kills=kills, on_progress=lambda what: note(f"… {what}")
    )
    result = asyncio.run(bench_recover(options))
    if json:
        say_json(result)
    else:
        say(recover_table(result))
    return 0


def deadlines_(*, incidents: Count = 100_000, seconds: Positive = 20.0, json: Json = False) -> int:
    """Measure how late steps are with many open incidents, and what a quiet second costs.

    One worker with its topics in memory: with a hundredth of the incidents, a tenth, and all of
    them. Then what it takes to refuse a record of 10 MiB, by every decoder.

    Parameters
    ----------
    incidents
        Open incidents, at most.
    seconds
        How long steps fall due at each number of incidents.
    """
    levels = sorted({max(1, incidents // 100), max(1, incidents // 10), incidents})
    options = ManyOpenOptions(levels, seconds, on_progress=lambda what: note(f"… {what}"))
    open_rows, refused_rows = bench_many_open(options), bench_refusals()
    if json:
        say_json({"many_open": open_rows, "refusals": refused_rows})
    else:
        say(f"{many_open_table(open_rows)}\n\n{refusals_table(refused_rows)}")
    return 0


def geo_(
    *,
    sizes: Annotated[str, Parameter(validator=_sizes)] = "all",
    seconds: Positive = 80.0,
    members: Annotated[int | None, Parameter(validator=_some)] = None,
    extract: Path | None = None,
    json: Json = False,
) -> int:
    """Measure a whole choice and the taking of positions, beside Redis, Tile38 and PostGIS.

    In the same run: the straight line within this process, networkx, and each store on a unix
    socket of its own. A store that is not installed is null, and a note says so.

    Parameters
    ----------
    sizes
        all, small (xiaohe and baltimore), or some of xiaohe,baltimore,100k,1m.
    seconds
        How long is measured in all; building the cities comes on top.
    members
        Members of each city, instead of 50, 1,000, 10,000 and 1,000,000.
    extract
        OpenStreetMap extract for baltimore; else osm/baltimore.osm.pbf in XIAOHE_TEST_DATA.
    """
    options = GeoBenchOptions(
        sizes=[size if members is None else replace(size, members=members) for size in _of(sizes)],
        seconds=seconds,
        extract=extract,
        on_progress=lambda what: note(f"… {what}"),
    )
    result = bench_geo(options)
    if json:
        say_json(result)
    else:
        say(geo_table(result))
    return 0


def _of(names: str) -> list[Size]:
    wanted = set(names.split(","))
    if "small" in wanted:
        wanted |= set(SMALL)
    return [size for size in SIZES if size.name in wanted or "all" in wanted]


def matching_(
    *,
    roads: Path = ROADS,
    members: Count = 12,
    minutes: Positive = 30.0,
    every_s: Positive = 5.0,
    seed: Annotated[int, Parameter(validator=_seed)] = 1,
    json: Json = False,
) -> int:
    """Measure how often a fix is put on the right road, on tracks where the truth is known.

    By travel mode, noise and kind of noise; beside it the nearest road that the mode may use.

    Parameters
    ----------
    roads
        A roads file, or an OpenStreetMap extract.
    members
        Invented members of each travel mode.
    minutes
        How long each is under way.
    every_s
        Between two fixes.
    seed
        The same seed gives the same tracks.
    """
    network = Network.build(import_roads(roads).pieces, roads.name)
    figures = bench_matching(network, members=members, minutes=minutes, seed=seed, every_s=every_s)
    if json:
        for row in rows(figures):
            say_json({"roads": roads.name, **row})
    else:
        say(matching_table(figures))
    return 0


def bursts_(
    *,
    rounds: Count = 600,
    seed: int = 1,
    manhattan: Path | None = None,
    json: Json = False,
) -> int:
    """Measure who is on scene in time when several alerts come at once and few members are free.

    Beside the engine, for the same positions: the nearest in a straight line, the nearest by road
    one by one, and the most that any assignment could have in time.

    Parameters
    ----------
    rounds
        Bursts played for each row.
    manhattan
        A folder with osm/manhattan_network.json.gz and calls/manhattan_requests.csv.gz, for a
        second city with the requests of a real day.
    """
    result = bench_bursts(rounds, seed, manhattan, on_progress=lambda what: note(f"… {what}"))
    if json:
        say_json(result)
    else:
        say(bursts_table(result))
    return 0
