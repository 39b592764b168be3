"""What an import of roads gave, in words for people and in numbers for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xiaohe.geo.importer import ImportReport
from xiaohe.geo.islands import Island

ISLANDS_SHOWN_MAX = 10
"""Islands shown to a person, the longest first; the rest are counted."""

ROADS_SHOWN_MAX = 3
"""Roads of an island named to a person."""

WHAT_IS_READ = {"osm": "highways", "geojson": "features", "node-link": "links"}


def as_json(report: ImportReport, out: Path) -> dict[str, Any]:
    """Give the report as one JSON object."""
    return {
        "out": str(out),
        "source": report.source,
        "read": report.read,
        "pieces": len(report.pieces),
        "roads": _roads(report),
        "noded": report.noded,
        "junctions": report.junctions,
        "turned": dict(report.turned),
        "dropped": dict(report.dropped),
        "examples": dict(report.examples),
        "doubts": dict(report.doubts),
        "islands": [asdict(island) for island in report.islands],
        "addresses": len(report.addresses),
        "errors": [problem._asdict() for problem in report.errors],
    }


def as_lines(report: ImportReport, out: Path) -> Iterator[str]:
    """Give the report line by line, for people."""
    read = f"{report.read} {WHAT_IS_READ[report.source]} read"
    yield f"{out}: {len(report.pieces)} pieces of {_roads(report)} roads, from {read}"
    if report.addresses:
        yield f"house numbers: {len(report.addresses)}, by which addresses are found"
    if report.junctions:
        yield f"made to meet: at {report.junctions} places where ways met without a common vertex"
    for datum, count in report.turned.items():
        yield f"turned into WGS-84: {count} features that were in {datum}"
    yield from _table("left out", report.dropped, report.examples)
    yield from _table("passed over", report.doubts, {})
    yield from _islands(report.islands)
    if report.errors:
        yield f"to be mended by hand: {len(report.errors)} errors; see `xiaohe roads check {out}`"


def _roads(report: ImportReport) -> int:
    return len({piece.road_id for piece in report.pieces})


def _table(
    title: str, counts: Mapping[str, int], examples: Mapping[str, list[str]]
) -> Iterator[str]:
    """Give counts by reason, the most frequent first, with an example of each."""
    if not counts:
        return
    yield f"{title}:"
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        named = examples.get(reason)
        yield f"  {count:>7}  {reason}" + (f"  (such as {named[0] or 'unnamed'})" if named else "")


def _islands(islands: tuple[Island, ...]) -> Iterator[str]:
    if not islands:
        return
    yield f"islands: {len(islands)}, which nothing joins to the rest"
    yield f"  {'metres':>9}  {'pieces':>6}  {'for':<15}  {'at (lon, lat)':<23}  roads"
    for island in islands[:ISLANDS_SHOWN_MAX]:
        named = ", ".join(road_id or "-" for road_id in island.road_ids[:ROADS_SHOWN_MAX])
        more = island.roads - min(len(island.road_ids), ROADS_SHOWN_MAX)
        where = f"{island.at[0]:.6f}, {island.at[1]:.6f}"
        yield (
            f"  {island.length_m:>9.0f}  {island.pieces:>6}  {' '.join(island.modes):<15}  "
            f"{where:<23}  {named}" + (f" and {more} more" if more > 0 else "")
        )
    if len(islands) > ISLANDS_SHOWN_MAX:
        yield f"  … and {len(islands) - ISLANDS_SHOWN_MAX} more (--json lists all)"
