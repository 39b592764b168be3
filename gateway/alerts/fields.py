"""An alert as plain JSON, before it is of the contract's types."""

from collections.abc import Mapping

import orjson

from xiaohe.dispatch.reasons import Reason
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_common import identifier_of

Fields = dict[str, object]
"""One alert, or what goes back for it, as JSON has it."""


def is_identifier(text: str) -> bool:
    """Tell whether the contract takes this text for an identifier."""
    try:
        identifier_of(text.encode(errors="replace"), "it")
    except BadInput:
        return False
    return True


def encoded(fields: Mapping[str, object]) -> bytes:
    """Write an alert as JSON; an unknown field's NaN becomes null. Raises BadInput."""
    try:
        return orjson.dumps(fields)
    except TypeError:
        raise BadInput(
            Reason.OUT_OF_RANGE, "a whole number in the alert does not fit 64 bits"
        ) from None
