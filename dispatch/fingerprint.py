"""What an alert says, as one hash: tells the same alert sent again from a correction of it."""

import json
from hashlib import sha256

import msgspec

from xiaohe.dispatch.inputs import Alert

DEGREE_DECIMALS = 7
"""About a centimetre: far below any device's error, far above a conversion's last bits."""


def fingerprint(alert: Alert) -> str:
    """Hash the content of an alert: equal for equal JSON, whatever the order of its fields.

    Unknown fields and the CloudEvents envelope are already gone from an Alert. A field left out,
    null or stated with its default is the same, so that a field added to the contract later does
    not change the hash of alerts that lack it. Gives the hexadecimal SHA-256.
    """
    content = json.dumps(_content(alert), sort_keys=True, separators=(",", ":"))
    return sha256(content.encode()).hexdigest()


def _content(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        stated = {}
        for field in msgspec.structs.fields(value):
            item = getattr(value, field.name)
            if item != field.default:
                stated[field.encode_name] = _content(item)
        return stated
    if isinstance(value, tuple):
        return [_content(item) for item in value]
    return round(value, DEGREE_DECIMALS) if isinstance(value, float) else value
