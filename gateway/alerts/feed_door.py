"""``POST /v1/feeds/{name}``: the JSON of a system that an operator's mapping file describes."""

from collections.abc import Mapping
from typing import Final

from xiaohe.gateway.access.principal import Change
from xiaohe.gateway.alerts import schemas
from xiaohe.gateway.alerts.intake import (
    Intake,
    Stated,
    check_count,
    nothing_sent,
    reply_to_many,
)
from xiaohe.gateway.alerts.mapping import Feed, fields_of, items_of
from xiaohe.gateway.door import (
    JSON,
    KIB,
    Answer,
    Body,
    Door,
    Parameter,
    Refusal,
    Reply,
    Visit,
)
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.json_object import read_value

FEED_BYTES_MAX: Final = 512 * KIB
"""A document of a feed: a hundred calls of some KiB each."""


def doors(intake: Intake, feeds: Mapping[str, Feed]) -> tuple[Door, ...]:
    """Give the door of the feeds; none where there are no feeds."""

    async def post(visit: Visit) -> Reply:
        return await _post(intake, feeds, visit)

    if not feeds:
        return ()
    return (
        Door(
            method="POST",
            path="/v1/feeds/{name}",
            name="feed",
            what="What another system sends in its own JSON.",
            change=Change.ALERT_REPORT,
            handle=post,
            bodies=(Body(media_type=JSON, bytes_max=FEED_BYTES_MAX),),
            parameters=(
                Parameter(
                    name="name",
                    where="path",
                    what="The feed.",
                    schema={"type": "string", "enum": sorted(feeds)},
                    required=True,
                ),
                Parameter(name="area_id", where="query", what="The area, where nothing says it."),
            ),
            answers=(
                Answer(status=202, what="Acknowledged, all of it.", schema=schemas.MANY),
                Answer(status=207, what="Part of it was taken.", schema=schemas.MANY),
                Answer(status=200, what="Nothing in it is an alert.", schema=schemas.NOTHING_SENT),
                Answer(status=404, what="No feed has this name."),
            ),
            room="alerts",
        ),
    )


async def _post(intake: Intake, feeds: Mapping[str, Feed], visit: Visit) -> Reply:
    feed = feeds.get(visit.path_parameters["name"])
    if feed is None:
        raise Refusal(404, "no_such_feed", f"the feeds here are: {', '.join(sorted(feeds))}")
    document = read_value(visit.body, FEED_BYTES_MAX)
    items = items_of(feed, document)
    if not items:
        return nothing_sent("nothing in the document is an alert of this feed")
    check_count(len(items))
    if feed.items is None:
        accepted = await intake.one(visit, Stated(fields_of(feed, document, document)))
        return Reply(202, accepted.as_json())
    return reply_to_many(await intake.many(visit, [_of(feed, item, document) for item in items]))


def _of(feed: Feed, item: object, document: object) -> Stated:
    try:
        return Stated(fields_of(feed, item, document))
    except BadInput as bad:
        return Stated({}, fault=bad)
