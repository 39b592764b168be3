"""``xiaohe forget``: what is personal of a caller's alerts, erased wherever it is kept."""

import asyncio
from getpass import getuser
from typing import Annotated

import msgspec
from cyclopts import Parameter

from xiaohe.commands.clusters import cluster_of
from xiaohe.commands.options import NOTHING_SAID, DataDir, Json, Kafka, Servers
from xiaohe.dispatch.times import rfc3339
from xiaohe.forget import forget as have_forgotten
from xiaohe.output import say, say_json
from xiaohe.places import DATA_DIR
from xiaohe.topics import DATA_KEEPER, load_topics


def _somebody(_: object, text: str) -> None:
    if not text:
        raise ValueError("name the caller")


def forget(
    caller: Annotated[
        str, Parameter(help="The caller_id, as the call system gives it.", validator=_somebody)
    ],
    *,
    by: Annotated[
        str | None,
        Parameter(name="--by", help="Who decided it; it goes on record. Else who is logged in."),
    ] = None,
    bootstrap_servers: Servers = None,
    kafka: Kafka = NOTHING_SAID,
    data_dir: DataDir = DATA_DIR,
    json: Json = False,
) -> int:
    """Have what is personal of a caller's alerts erased wherever it is kept.

    Tells all who keep any of it, on the topic redactions, and says when the alerts themselves have
    left their topic. Nothing else holds a caller's words: docs/personal-data.md.
    """
    cluster = cluster_of(bootstrap_servers, data_dir, kafka, DATA_KEEPER)
    done = asyncio.run(have_forgotten(cluster, load_topics(), caller, by or getuser()))
    gone_by = None if done.gone_by_ms is None else rfc3339(done.gone_by_ms)
    if json:
        for each in done.redactions:
            say_json({"event": "redaction", **msgspec.structs.asdict(each)})
        say_json({"alerts": len(done.redactions), "areas": done.areas, "gone_by": gone_by})
        return 0
    if not done.redactions:
        say("no alert of this caller is kept: there is nothing to forget")
        return 0
    say(
        f"{len(done.redactions)} alerts of {', '.join(done.areas)}: whoever keeps anything of them "
        f"has been told to erase it; the alerts themselves are gone by {gone_by}"
    )
    return 0
