"""The device formats by name: what ``format`` of a raw topic may say, and what reads it."""

from collections.abc import Callable, Mapping
from typing import Final

from xiaohe.gateway.positions import osmand, owntracks, plain, tile38, traccar_forward
from xiaohe.gateway.positions.raw_fix import Read, Said
from xiaohe.gateway.positions.receipt import Receipt

Decode = Callable[[bytes, Receipt], list[Read]] | Callable[[bytes, Receipt], list[Said]]


def decode_osmand(value: bytes, receipt: Receipt) -> list[Said]:
    """Read OsmAnd's protocol in whichever of its two forms: JSON begins with a brace."""
    if value.lstrip()[:1] == b"{":
        return osmand.decode_json(value, receipt)
    return osmand.decode_query(value, receipt)


FORMATS: Final[Mapping[str, Decode]] = {
    "traccar": traccar_forward.decode,
    "osmand": decode_osmand,
    "owntracks": owntracks.decode,
    "tile38": tile38.decode,
    "positions": plain.decode,
}
"""One message of each. GPX and tables are files, which ``xiaohe positions replay`` reads."""
