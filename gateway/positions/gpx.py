"""A recorded track as GPX 1.0 or 1.1: its track points, whatever else stands beside them.

Read as a stream, without a tree, a document type or an entity: what expands is refused.
"""

from typing import Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions.hearing import Message, heard
from xiaohe.gateway.positions.measures import course_deg, speed_mps
from xiaohe.gateway.positions.moments import TIME_CHARACTERS_MAX
from xiaohe.gateway.positions.raw_fix import Read
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.gateway.positions.table import TRACK_BYTES_MAX, TRACK_FIXES_MAX
from xiaohe.wire.bad_input import BadInput

XML_NESTING_MAX: Final = 32
"""Elements inside one another: a track point with extensions of extensions has 8."""

POINT: Final = "trkpt"
READ: Final = frozenset({"time", "speed", "course"})


def decode(value: bytes, receipt: Receipt, device: str) -> list[Read]:
    """Read the track points of a file, in its order; a bad one is told of by itself.

    ``device`` is whose they are: the format has no word for it. Raises BadInput.
    """
    if len(value) > TRACK_BYTES_MAX:
        raise BadInput(Reason.OVERSIZE, f"the file has more than {TRACK_BYTES_MAX} bytes")
    points = _Points(receipt, device)
    parser = DefusedXMLParser(target=points, forbid_dtd=True)
    try:
        parser.feed(value)
        parser.close()
    except DefusedXmlException:
        raise BadInput(
            Reason.NOT_XML, "the file has a document type: take it out, nothing is expanded here"
        ) from None
    except (ParseError, ValueError, LookupError):  # the last: an encoding that nobody knows
        raise BadInput(Reason.NOT_XML, "the file is not well-formed XML") from None
    if not points.is_gpx:
        raise BadInput(Reason.NOT_XML, "the file's root is not gpx")
    return points.read


class _Points:
    """Takes the parser's events; holds nothing but the point that is being read."""

    def __init__(self, receipt: Receipt, device: str) -> None:
        self.read: list[Read] = []
        self.is_gpx = False
        self._receipt = receipt
        self._device = device
        self._depth = 0
        self._point: dict[str, str] | None = None
        self._field: str | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""
        self._depth += 1
        if self._depth > XML_NESTING_MAX:
            raise BadInput(Reason.TOO_DEEP, f"at most {XML_NESTING_MAX} elements deep are read")
        name = _plain(tag)
        if self._depth == 1:
            self.is_gpx = name == "gpx"
        if name == POINT:
            self._point = {"lat": attributes.get("lat", ""), "lon": attributes.get("lon", "")}
        elif self._point is not None and name in READ:
            self._field = name
            self._point[name] = ""

    def data(self, text: str) -> None:
        """Take some characters."""
        if self._point is not None and self._field is not None:
            held = self._point[self._field]
            self._point[self._field] = held + text[: TIME_CHARACTERS_MAX + 1 - len(held)]

    def end(self, tag: str) -> None:
        """Take the end of an element."""
        self._depth -= 1
        self._field = None
        if _plain(tag) == POINT and self._point is not None:
            self._take(self._point)
            self._point = None

    def close(self) -> None:
        """Nothing is left to do at the end."""

    def _take(self, point: dict[str, str]) -> None:
        if len(self.read) == TRACK_FIXES_MAX:
            raise BadInput(
                Reason.BATCH_TOO_LONG, f"the file has more than {TRACK_FIXES_MAX} points"
            )
        message = Message(
            device_id=self._device,
            lon=point["lon"],
            lat=point["lat"],
            time=point.get("time", "").strip(),
            speed_mps=speed_mps(point.get("speed", "").strip()),
            course_deg=course_deg(point.get("course", "").strip()),
        )
        try:
            self.read.append(heard(message, self._receipt))
        except BadInput as bad:
            self.read.append(bad.at_index(len(self.read)))


def _plain(tag: str) -> str:
    """Give a name without its namespace: 1.0 and 1.1 differ in nothing else that is read."""
    return tag.rpartition("}")[2]
