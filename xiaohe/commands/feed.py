"""``xiaohe feed test``: what a mapping file makes of a sample, before anything is connected."""

from pathlib import Path

from xiaohe.commands.options import Json
from xiaohe.gateway.alerts.feed_file import FeedFileError, read_feed
from xiaohe.gateway.alerts.fields import encoded
from xiaohe.gateway.alerts.mapping import Feed, fields_of, items_of
from xiaohe.output import say, say_json
from xiaohe.places import read_file
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import decode_alert
from xiaohe.wire.json_object import read_value

SAMPLE_BYTES_MAX = 8 * 1024 * 1024
"""A sample may be a day's export; what a request may have is the door's to say."""


def test_(file: Path, sample: Path, *, json: Json = False) -> int:  # noqa: PT028 - a command, no test
    """Show the alerts that a mapping file makes of a sample; status 1 where one would be refused.

    Nothing is sent. Whether the area and the road are known is not looked at.

    Parameters
    ----------
    file
        The mapping file.
    sample
        JSON as the other system sends it.
    """
    feed = read_feed(read_file(file), str(file))
    told = [_told(feed, at, item, document) for at, (item, document) in _items(feed, sample)]
    bad = sum("reason" in each for each in told)
    if json:
        for each in told:
            say_json(each)
        say_json({"feed": feed.name, "alerts": len(told) - bad, "refused": bad})
    else:
        for each in told:
            say(_in_words(each))
        say(f"{feed.name}: {len(told) - bad} alerts, {bad} refused")
    return 1 if bad or not told else 0


def _items(feed: Feed, sample: Path) -> list[tuple[int, tuple[object, object]]]:
    try:
        document = read_value(read_file(sample), SAMPLE_BYTES_MAX)
    except BadInput as bad:
        raise FeedFileError([f"{sample}: {bad.reason.value}: {bad.detail}"]) from None
    return list(enumerate((item, document) for item in items_of(feed, document)))


def _told(feed: Feed, at: int, item: object, document: object) -> dict[str, object]:
    try:
        fields = fields_of(feed, item, document)
        area_id = str(fields.get("area_id") or "")
        decode_alert(area_id.encode(), encoded(fields))
    except BadInput as bad:
        return {"index": at, "reason": bad.reason.value, "detail": bad.detail}
    return {"index": at, "alert": fields}


def _in_words(told: dict[str, object]) -> str:
    if "reason" in told:
        return f"item {told['index']}: refused, {told['reason']}: {told['detail']}"
    alert = told["alert"]
    assert isinstance(alert, dict), "an alert was made"
    lines = [f"  {name}: {item}" for name, item in alert.items()]
    return "\n".join([f"item {told['index']}: an alert", *lines])
