"""``xiaohe roads import|check``: from somebody's map to a roads file, and what is wrong in one."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from xiaohe.commands.options import Json
from xiaohe.geo.importer import check_roads_file, import_roads
from xiaohe.geo.roads import write_roads
from xiaohe.output import note, say, say_json

Out = Annotated[Path, Parameter(name=["--out", "-o"], help="The roads file to write.")]
PROBLEMS_SHOWN_MAX = 50
"""Problems shown one by one to a person; the rest are counted."""


def import_(source: Path, *, out: Out = Path("roads.geojson"), json: Json = False) -> int:
    """Make a roads file of OpenStreetMap data (pbf, xml) or GeoJSON.

    Parameters
    ----------
    source
        The file to read.
    """
    note(f"… reading {source}")
    report = import_roads(source)
    out.write_bytes(write_roads(report.pieces))
    roads = {piece.road_id for piece in report.pieces}
    if json:
        say_json(
            {
                "out": str(out),
                "source": report.source,
                "read": report.read,
                "pieces": len(report.pieces),
                "roads": len(roads),
                "noded": report.noded,
                "dropped": dict(report.dropped),
                "doubts": dict(report.doubts),
            }
        )
        return 0
    say(f"{out}: {len(report.pieces)} pieces of {len(roads)} roads, from {report.read} read")
    for reason, count in sorted(report.dropped.items()):
        say(f"  left out: {count} × {reason}")
    for doubt, count in sorted(report.doubts.items()):
        say(f"  not understood: {count} × {doubt}")
    return 0


def check_(file: Path, *, json: Json = False) -> int:
    """Show what is wrong with a roads file; status 1 where an error was found.

    Parameters
    ----------
    file
        The roads file.
    """
    problems = check_roads_file(file)
    errors = sum(problem.severity == "error" for problem in problems)
    if json:
        for problem in problems:
            say_json(
                {
                    "severity": problem.severity,
                    "code": problem.code,
                    "road_id": problem.road_id,
                    "lon": problem.lon,
                    "lat": problem.lat,
                    "text": problem.text,
                }
            )
        say_json({"file": str(file), "errors": errors, "warnings": len(problems) - errors})
    else:
        for problem in problems[:PROBLEMS_SHOWN_MAX]:
            say(f"{problem.severity}: {problem.road_id or '-'}: {problem.text}")
        if len(problems) > PROBLEMS_SHOWN_MAX:
            say(f"… and {len(problems) - PROBLEMS_SHOWN_MAX} more")
        say(f"{file}: {errors} errors, {len(problems) - errors} warnings")
    return 1 if errors else 0
