"""CloudEvents of what goes out."""

from xiaohe.dispatch.times import parse_rfc3339
from xiaohe.wire import cloudevents


def test_output_headers_are_binary_mode_and_the_same_again_on_a_repeat():
    """All required attributes are headers; the same arguments give the same bytes."""
    at_ms = parse_rfc3339("2026-11-23T09:15:02.123Z")
    source = cloudevents.source_of("riverside", "incident-events")
    made = cloudevents.headers("inc-1:4", source, cloudevents.type_of("incident.opened"), at_ms)
    assert made == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"inc-1:4"),
        ("ce_source", b"/xiaohe/riverside/incident-events"),
        ("ce_type", b"xiaohe.incident.opened.v1"),
        ("ce_time", b"2026-11-23T09:15:02.123Z"),
        ("content-type", b"application/json"),
    ]
    assert made == cloudevents.headers("inc-1:4", source, "xiaohe.incident.opened.v1", at_ms)


def test_our_own_output_headers_are_no_envelope_to_our_own_decoders():
    """A record of ours that is read back (mutual aid) is bare data in binary mode."""
    made = cloudevents.headers("aid:inc-1:1", "/xiaohe/riverside/alerts", "xiaohe.alert.v1", 0)
    assert not cloudevents.content_type(made).startswith(cloudevents.STRUCTURED)
