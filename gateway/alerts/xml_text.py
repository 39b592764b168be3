"""XML from outside, read with nothing switched on: no DTD, no entity, nothing fetched, and bounded.

defusedxml refuses what declares or names an entity while it is being read, so that neither a
billion laughs nor a quadratic blow-up begins; depth and number of elements are held here.
"""

from typing import Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from xiaohe.gateway.door import Refusal

DEPTH_MAX: Final = 12
"""Levels of elements: CAP has 4, an Open311 answer 3."""

ELEMENTS_MAX: Final = 2_000
"""Elements of a document: a warning in three languages with its areas has some hundred."""

ATTRIBUTES_MAX: Final = 16
"""Attributes of an element: CAP has none but namespaces."""


def read_xml(body: bytes) -> Element:
    """Read a document whole; its length is the door's to limit. Raises Refusal (400)."""
    parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=True)
    try:
        parser.feed(body)
        root = parser.close()
    except DefusedXmlException:
        raise Refusal(
            400, "xml_entity", "the XML declares a DTD or an entity: leave it out"
        ) from None
    except (ParseError, LookupError, ValueError) as fault:
        where = getattr(fault, "position", None)
        at = f" at line {where[0]}" if where else ""
        raise Refusal(400, "not_xml", f"the body is not well-formed XML{at}, in UTF-8") from None
    if not isinstance(root, Element):
        raise Refusal(400, "not_xml", "the body has no element")
    return root


class _Bounded(TreeBuilder):
    """Builds the tree no deeper and no larger than it may be."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:  # type: ignore[override]
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH_MAX:
            raise Refusal(400, "too_deep", f"at most {DEPTH_MAX} levels of elements are read")
        if self._elements > ELEMENTS_MAX:
            raise Refusal(400, "oversize", f"at most {ELEMENTS_MAX} elements are read")
        if len(attrs) > ATTRIBUTES_MAX:
            raise Refusal(400, "oversize", f"at most {ATTRIBUTES_MAX} attributes are read")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(tag)
