"""``xiaohe explain``: why an order was given, who was left out, and whether it comes out again."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
from cyclopts import Parameter
from rich.console import Console

from xiaohe.commands.clusters import cluster_of
from xiaohe.commands.options import NOTHING_SAID, DataDir, Json, Kafka, PolicyFile, Servers, Speed
from xiaohe.dispatch.policy import load_policy
from xiaohe.explain.picture import order_picture, story_picture
from xiaohe.explain.reading import Found, Reader
from xiaohe.explain.recheck import Recheck, recheck, skipped
from xiaohe.explain.story import Order, Story, story_of
from xiaohe.explain.telling import Teller, words_of
from xiaohe.geo.files import load_network, read_bytes, version_of
from xiaohe.geo.network import Network
from xiaohe.geo.snap import Snapper
from xiaohe.output import say, say_json
from xiaohe.places import DATA_DIR, POLICY, ROADS, read_file
from xiaohe.topics import Topics, load_topics
from xiaohe.wire.cluster_access import Cluster

PIPED_COLUMNS: Final = 120
"""Width where standard output is no terminal and COLUMNS says nothing."""

Wanted = Annotated[str, Parameter(help="A dispatch_id, an incident_id or an alert_id.")]
OrdersRoads = Annotated[
    Path | None,
    Parameter(name="--roads", help="The roads file that was decided on; else the one in use."),
]


def explain(
    wanted_id: Wanted,
    /,
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    roads: OrdersRoads = None,
    policy: PolicyFile = None,
    speed: Speed = 1.0,
    json: Json = False,
) -> int:
    """Say why an order was given: who was looked at, who was left out and why, on which fixes
    and which map; and work the travel times out again.

    An incident_id or an alert_id explains all orders of the incident, in sequence. What is
    recomputed needs the roads file that was decided on; --speed is that of the demo, if it was
    one. Exit status 1 where nothing is called so.
    """
    cluster = cluster_of(bootstrap_servers, data_dir, kafka)
    maps = _Maps(roads_files(roads, data_dir), speed)
    found, names = asyncio.run(_read(cluster, load_topics(), wanted_id))
    for story in found:
        teller = Teller(lambda member_id: names.get(member_id, member_id), _zone(policy, story))
        one = next((order for order in story.orders if order.dispatch_id == wanted_id), None)
        orders = story.orders if one is None else (one,)
        rechecks = {order.dispatch_id: maps.recheck(order) for order in orders}
        if json:
            _say_lines(teller, story, orders, rechecks)
        else:
            _draw(teller, story, one, rechecks)
    return 0


async def _read(
    cluster: Cluster, topics: Topics, wanted_id: str
) -> tuple[list[Story], Mapping[str, str]]:
    async with Reader(cluster, topics) as reader:
        found: list[Found] = await reader.find(wanted_id)
        stories = [story_of(await reader.events(each)) for each in found]
        return stories, await reader.names()


def _zone(policy: Path | None, story: Story) -> tzinfo:
    """Give the time zone of the area: the policy's, else UTC."""
    base = POLICY.read_bytes()
    used = load_policy(base) if policy is None else load_policy(read_file(policy), base=base)
    area = used.areas.get(story.area_id)
    return UTC if area is None else ZoneInfo(area.timezone)


def roads_files(named: Path | None, data_dir: Path) -> list[Path]:
    """Give the roads files at hand: the named one, the one that `xiaohe up` makes of a raw file
    in its data folder, and the project's own. Which was decided on its version says."""
    made = data_dir / "roads.geojson"
    return [path for path in (named, made if made.exists() else None, ROADS) if path is not None]


class _Maps:
    """The roads files at hand, each loaded once and only where an order was decided on it."""

    def __init__(self, paths: Iterable[Path], speed: float) -> None:
        self._speed = speed
        self._paths = {version_of(read_bytes(path)): path for path in paths}
        self._loaded: dict[str, tuple[Network, Snapper]] = {}

    def recheck(self, order: Order) -> Recheck:
        """Judge an order again on the map that it was decided on, where that is at hand."""
        version = order.why.roads_version
        path = self._paths.get(version)
        if path is None:
            return skipped(
                f"the order was decided on the map {version or 'that it does not name'}, and at "
                f"hand is {', '.join(self._paths)}: name its roads file with --roads"
            )
        if version not in self._loaded:
            self._loaded[version] = load_network(path, self._speed)
        return recheck(order, *self._loaded[version])


def _draw(teller: Teller, story: Story, one: Order | None, rechecks: Mapping[str, Recheck]) -> None:
    """Draw one order, or the whole incident; plain, and without spaces at the ends, when piped."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_COLUMNS
    if one is None:
        picture = story_picture(teller, story, rechecks, console.width)
    else:
        picture = order_picture(teller, one, rechecks[one.dispatch_id], console.width)
    if console.is_terminal:
        console.print(picture)
        return
    with console.capture() as drawn:
        console.print(picture)
    say("\n".join(line.rstrip() for line in drawn.get().rstrip().splitlines()))


def _say_lines(
    teller: Teller, story: Story, orders: tuple[Order, ...], rechecks: Mapping[str, Recheck]
) -> None:
    """Print an object an order; for an incident without one, one of the incident."""
    for order in orders:
        say_json(order_line(teller, order, rechecks[order.dispatch_id]))
    if not orders:
        told = [teller.event(event) for event in story.events]
        place = {"incident_id": story.incident_id, "area_id": story.area_id}
        say_json({"dispatch_id": None, **place, "words": {"events": told}})


def order_line(teller: Teller, order: Order, found: Recheck) -> dict[str, Any]:
    """Give the line of ``--json``: the order's fields, its ``why``, ``words`` and ``recheck``."""
    line: dict[str, Any] = msgspec.to_builtins(order)
    after = line.pop("after")
    return {
        **line,
        "state": "ordered" if order.end is None else "ended",
        "events": after,
        "words": words_of(teller, order, found),
        "recheck": msgspec.to_builtins(found),
    }
