"""``xiaohe roster load|check``: publish a roster, and whether every road is answered for."""

import asyncio
import time
from pathlib import Path

import msgspec

from xiaohe.commands.clusters import cluster_of
from xiaohe.commands.options import NOTHING_SAID, DataDir, Json, Kafka, Roads, Servers
from xiaohe.dispatch.coverage import Finding, check_roster
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.times import rfc3339
from xiaohe.geo.files import load_network
from xiaohe.geo.network import Network
from xiaohe.output import say, say_json
from xiaohe.places import DATA_DIR, ROADS
from xiaohe.roster_file import publish, read_roster
from xiaohe.topics import ROSTER_LOADER, load_topics
from xiaohe.wire.codec import Gone, decode_roster

FINDINGS_SHOWN_MAX = 50
"""Findings shown one by one to a person; the rest are counted."""


def load_(
    file: Path,
    *,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    json: Json = False,
) -> int:
    """Publish a roster: each member in place of their earlier record.

    Parameters
    ----------
    file
        A JSON array of members.
    """
    entries = read_roster(file)
    cluster = cluster_of(bootstrap_servers, data_dir, kafka, ROSTER_LOADER)
    count = asyncio.run(publish(cluster, load_topics().roster.name, entries))
    if json:
        say_json({"published": count})
    else:
        say(f"{count} members published")
    return 0


def check_(file: Path, *, roads: Roads = None, json: Json = False) -> int:
    """Show for every road and minute of the coming week whether one owner and one squad answer.

    Gaps and doubles are named by road and time; status 1 where there are any.

    Parameters
    ----------
    file
        A JSON array of members.
    """
    entries = []
    for value in read_roster(file):
        entry = decode_roster(str(value["member_id"]).encode(), msgspec.json.encode(value))
        assert not isinstance(entry, Gone), "a value that is there is no tombstone"
        entries.append(entry)
    network, _ = load_network(roads or ROADS)
    findings = check_roster(entries, _roads_by_area(network, entries), time.time_ns() // 1_000_000)
    for finding in findings if json else findings[:FINDINGS_SHOWN_MAX]:
        if json:
            say_json(msgspec.to_builtins(finding))
        else:
            say(f"{_span(finding)}{finding.detail}")
    if json:
        say_json({"file": str(file), "findings": len(findings)})
    else:
        more = len(findings) - FINDINGS_SHOWN_MAX
        say(f"… and {more} more" if more > 0 else f"{file}: {len(findings)} findings")
    return 1 if findings else 0


def _roads_by_area(network: Network, entries: list[RosterEntry]) -> dict[str, set[str]]:
    """Give the roads of each area; a road that names none belongs to the roster's only area."""
    areas = {entry.area_id for entry in entries}
    only = next(iter(areas)) if len(areas) == 1 else None
    by_area: dict[str, set[str]] = {}
    for road_id in network.roads:
        area_id = network.area_of_road(road_id) or only
        if area_id is not None:
            by_area.setdefault(area_id, set()).add(road_id)
    return by_area


def _span(finding: Finding) -> str:
    if finding.from_ms is None or finding.to_ms is None:
        return ""
    return f"{rfc3339(finding.from_ms)} – {rfc3339(finding.to_ms)}: "
