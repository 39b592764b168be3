"""Which fields of a message are about a person, as its type marks them (``inputs.PERSONAL``)."""

from functools import cache
from typing import get_args, get_type_hints

import msgspec

from xiaohe.dispatch.inputs import PERSONAL


@cache
def personal_fields(struct: type[msgspec.Struct]) -> frozenset[str]:
    """Give the names of the marked fields."""
    hints = get_type_hints(struct, include_extras=True)
    return frozenset(name for name, kind in hints.items() if _is_marked(kind))


def _is_marked(kind: object) -> bool:
    if PERSONAL in getattr(kind, "__metadata__", ()):
        return True
    return any(_is_marked(part) for part in get_args(kind))
