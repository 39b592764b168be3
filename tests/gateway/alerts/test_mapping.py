"""Mapping files: what is wrong in one is named by line, and a sample is tried without a gateway."""

import contextlib
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.alerts.bench import FEEDS
from xiaohe.cli import run
from xiaohe.gateway.alerts.feed_file import FeedFileError, load_feeds, read_feed
from xiaohe.gateway.alerts.mapping import Feed, fields_of, items_of, time_text
from xiaohe.gateway.alerts.results import results_of
from xiaohe.wire.bad_input import BadInput

GOOD = """\
feed: theirs
source: police-110
timezone: Asia/Shanghai
alert:
  alert_id: $.id
  category: $.kind
  occurred_at: {path: $.at, format: "%Y-%m-%d %H:%M"}
  address: $.where
"""


def read(text: str) -> Feed:
    """A mapping file of this text."""
    return read_feed(text.encode(), "f.yaml")


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("feed: theirs\n", ""), 1, "give the feed a name"),
        (("feed: theirs", "feed: their feed"), 1, "feed: must be 1 to 64"),
        (("feed: theirs", "fed: theirs"), 1, "fed: is not read"),
        (("source: police-110\n", ""), 1, "say the source"),
        (("Asia/Shanghai", "Asia/Xiaohe"), 3, "timezone: no IANA time zone"),
        (("timezone: Asia/Shanghai\n", ""), 1, "give the timezone"),
        (("timezone:", "datum: bd-09\ntimezone:"), 3, "datum: must be one of"),
        (("$.id", "id"), 5, "alert.alert_id: must be a JSONPath"),
        (("$.id", "$.id["), 5, "alert.alert_id: no JSONPath"),
        (("$.id", "$..id"), 5, "alert.alert_id: name the way down"),
        (("$.id", "$.id | $.no"), 5, "alert.alert_id: "),
        (("$.id", "\"$.a[?match(@.b, '(x+)+')]\""), 5, "alert.alert_id: no JSONPath"),
        (("$.id", "{path: $.id, value: 7}"), 5, "exactly one of path, paths and value"),
        (("$.id", "{table: {a: b}}"), 5, "exactly one of path, paths and value"),
        (("$.id", "{path: $.id, tabel: {}}"), 5, "alert.alert_id.tabel: is not read"),
        (("$.id", "{path: $.id, table: {}}"), 5, "must be a mapping of their values to ours"),
        (("$.id", "{path: $.id, of: all}"), 5, "must be item or document"),
        (("$.id", "{path: $.id, scale: big}"), 5, "must be a number"),
        (("$.id", "{path: $.id, required: often}"), 5, "must be true or false"),
        (("$.id", "{paths: []}"), 5, "must be a list with something in it"),
        (("%Y-%m-%d %H:%M", "yyyy-MM-dd"), 7, "alert.occurred_at.format: must be epoch_s"),
        (("  category: $.kind\n", ""), 4, "alert: needs a rule for category"),
        (("  address: $.where\n", ""), 4, "needs a rule for one of position"),
        (("  address: $.where", "  position: {lon: $.x, lattitude: $.y}"), 8, "lattitude: is not"),
        (("  address: $.where", "  adress: $.where"), 8, "alert.adress: is not read"),
        (("  address: $.where", "  address: $.where\n  category: $.k"), 9, "is there twice"),
        (("  address: $.where", "  address: &a $.where\n  text: *a"), 9, "anchors and aliases"),
        (("  address: $.where", "  address: ["), 9, "not YAML"),
        (("alert:\n", "only: {path: $.x}\nalert:\n"), 4, "only: needs path and is"),
        (("alert:\n", "results: {statuses: {a: 1}}\nalert:\n"), 4, "results: needs statuses"),
        (
            ("alert:\n", "results: {statuses: {a: 1}, fields: {x: $.status}}\nalert:\n"),
            4,
            "alert_id needs a prefix",
        ),
    ],
)
def test_a_mistake_is_named_by_line_and_field(
    change: tuple[str, str], line: int, says: str
) -> None:
    """Whoever wrote the file is told where to mend it and what is expected."""
    assert change[0] in GOOD
    with pytest.raises(FeedFileError) as fault:
        read(GOOD.replace(*change))
    assert any(p.startswith(f"f.yaml:{line}: ") and says in p for p in fault.value.problems), fault


def test_all_mistakes_are_told_at_once() -> None:
    """A file is mended in one go, from the top."""
    with pytest.raises(FeedFileError) as fault:
        read(GOOD.replace("$.id", "id").replace("$.where", "where").replace("theirs", "no name"))
    assert [problem.split(":")[1] for problem in fault.value.problems] == ["1", "5", "8"]


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe\x00", b"[1]", b"- a", b"a: !!python/name:os.x 1"])
def test_what_is_no_mapping_file_is_refused(raw: bytes) -> None:
    """Whatever a file holds, it is read or refused by one error."""
    with pytest.raises(FeedFileError):
        read_feed(raw, "f.yaml")


def test_codes_are_compared_as_they_are_written() -> None:
    """``01`` in a table is the text 01 and no number, quoted or not."""
    feed = read(GOOD.replace("category: $.kind", "category: {path: $.kind, table: {01: fight}}"))
    document = {"id": "a", "kind": "01", "at": "2030-01-31 08:00", "where": "x"}
    assert fields_of(feed, document, document)["category"] == "fight"


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1_896_048_000, "epoch_s", "2030-01-31T00:00:00.000Z"),
        ("1896048000000", "epoch_ms", "2030-01-31T00:00:00.000Z"),
        ("2030-01-31T08:00:00+08:00", "rfc3339", "2030-01-31T08:00:00+08:00"),
        ("20300131080000", "%Y%m%d%H%M%S", "2030-01-31T00:00:00.000Z"),
        ("2030-01-31 08:00:00 +0000", "%Y-%m-%d %H:%M:%S %z", "2030-01-31T08:00:00.000Z"),
        ("soon", "epoch_s", "soon"),
        (1e300, "epoch_s", str(int(1e300))),
        ("", "%Y", ""),
    ],
)
def test_a_time_is_read_by_its_form_and_the_feeds_zone(
    value: object, form: str, expected: str
) -> None:
    """What states no offset is of the feed's zone; what cannot be read stays as it is."""
    feed = read(GOOD)
    assert time_text(value, form, feed.timezone) == expected


def test_two_files_of_one_feed_are_refused(tmp_path: Path) -> None:
    """A name is one door."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(FeedFileError, match="another file has the feed theirs"):
        load_feeds(tmp_path)
    with pytest.raises(FeedFileError, match="no mapping files"):
        load_feeds(tmp_path / "nowhere")


def test_a_sample_is_tried_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """It prints the alert, or what is missing with the path that found nothing, by its status."""
    file, sample = tmp_path / "f.yaml", tmp_path / "s.json"
    file.write_text(GOOD.replace("source: police-110", "source: police-110\narea_id: xiaohe"))
    sample.write_text('{"id":"a","kind":"fight","at":"2030-01-31 08:00","where":"x"}')
    assert run(["feed", "test", str(file), str(sample)]) == 0
    assert "category: fight" in capsys.readouterr().out
    sample.write_text('{"id":"a","at":"2030-01-31 08:00"}')
    assert run(["feed", "test", str(file), str(sample), "--json"]) == 1
    first, last = map(orjson.loads, capsys.readouterr().out.splitlines())
    assert (first["reason"], first["detail"]) == ("missing_field", "category: nothing at $.kind")
    assert last == {"feed": "theirs", "alerts": 0, "refused": 1}
    sample.write_text("{")
    assert run(["feed", "test", str(file), str(sample)]) == 1
    file.write_text(GOOD.replace("$.id", "id"))
    assert run(["feed", "test", str(file), str(sample)]) == 1
    assert "f.yaml:5: alert.alert_id" in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["data", "calls", "callNo", "callTime", "x", "y", "handler", "event",
                         "uuid", "tsMs", "camera", "gps", "media", "url", "ticket", "what"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


EXAMPLES = load_feeds(FEEDS)


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from(sorted(EXAMPLES)))
def test_any_json_gives_alerts_or_a_refusal(document: object, name: str) -> None:
    """Nothing that a system may send fails the gateway."""
    feed = EXAMPLES[name]
    for item in (*items_of(feed, document), document):
        with contextlib.suppress(BadInput):
            fields_of(feed, item, document)


EVENT = {
    "event_id": "inc-1:4", "incident_id": "inc-1", "area_id": "xiaohe", "seq": 4, "epoch": 1,
    "type": "member.arrived", "at": "2030-01-31T00:03:00.000Z", "cause": {}, "data": {},
}  # fmt: skip


class TestResults:
    """What goes back to the system that an alert came from."""

    feed = EXAMPLES["example-110"]

    def test_an_event_becomes_their_words_in_their_fields(self) -> None:
        """Their number without our prefix, their code, their local time, nested as they nest."""
        ((alert_id, body),) = results_of(self.feed, EVENT, ["110:20300131-0042", "cam:7"])
        assert alert_id == "110:20300131-0042"
        assert body == {
            "callNo": "20300131-0042",
            "feedback": {"state": "30", "time": "2030-01-31 08:03:00", "outcome": ""},
        }

    def test_each_of_several_alerts_is_answered(self) -> None:
        """Two calls about one incident are both told."""
        told = results_of(self.feed, EVENT | {"type": "incident.resolved", "data": {
            "outcome": "settled"}}, ["110:1", "110:2"])  # fmt: skip
        assert [body["callNo"] for _, body in told] == ["1", "2"]
        assert told[0][1]["feedback"]["outcome"] == "settled"

    @pytest.mark.parametrize(
        ("event", "alerts"),
        [
            (EVENT | {"type": "command.notified"}, ["110:1"]),
            (EVENT, ["cam:1"]),
            (EVENT, []),
            (EVENT | {"drill": True}, ["110:1"]),
        ],
    )
    def test_what_is_not_theirs_goes_nowhere(self, event: dict, alerts: list[str]) -> None:
        """No word for the event, nobody's alert, or a drill: nothing goes out."""
        assert results_of(self.feed, event, alerts) == []

    def test_a_feed_without_results_wants_none(self) -> None:
        """Cameras are told nothing."""
        assert results_of(EXAMPLES["example-camera"], EVENT, ["cam:1"]) == []
