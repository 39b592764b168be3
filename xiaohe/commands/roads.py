"""``xiaohe roads import|check``: from somebody's map to a roads file, and what is wrong in one."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from xiaohe.commands.options import Json
from xiaohe.geo.address_points import stated_addresses
from xiaohe.geo.importer import check_roads_file, import_roads
from xiaohe.geo.roads import write_roads
from xiaohe.output import say, say_json
from xiaohe.progress_bar import progress_bar
from xiaohe.roads_report import as_json, as_lines
from xiaohe.whole_file import check_writable, write_whole

Out = Annotated[Path, Parameter(name=["--out", "-o"], help="The roads file to write.")]
PROBLEMS_SHOWN_MAX = 50
"""Problems shown one by one to a person; the rest are counted."""


def import_(source: Path, *, out: Out = Path("roads.geojson"), json: Json = False) -> int:
    """Make a roads file of OpenStreetMap data (pbf, xml), GeoJSON or a node-link graph.

    Parameters
    ----------
    source
        The file to read.
    """
    check_writable(out)
    with progress_bar() as watch:
        report = import_roads(source, watch)
        watch("writing", 0, None)
        write_whole(out, write_roads(report.pieces, stated_addresses(report.addresses)))
    if json:
        say_json(as_json(report, out))
        return 0
    for line in as_lines(report, out):
        say(line)
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
            where = f"({problem.lon:.6f}, {problem.lat:.6f})"
            say(f"{problem.severity}: {problem.road_id or '-'} {where}: {problem.text}")
        if len(problems) > PROBLEMS_SHOWN_MAX:
            say(f"… and {len(problems) - PROBLEMS_SHOWN_MAX} more")
        say(f"{file}: {errors} errors, {len(problems) - errors} warnings")
    return 1 if errors else 0
