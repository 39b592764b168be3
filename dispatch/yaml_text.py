"""YAML as people write it: read, or refused by one error."""

from typing import Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_ODD_VALUES: Final = (
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What PyYAML lets through where a value only looks like one of its kinds: ``2001-99-99`` is no
date, ``!!bool x`` no truth value, ``0x_`` no number, a thousand brackets are no list."""


class BadYaml(ValueError):
    """A text is not YAML that can be read; the message says where, or what."""


def read_yaml(raw: bytes | str) -> object:
    """Read one document into plain values. Raises BadYaml."""
    try:
        return yaml.load(raw, Loader=_LOADER)  # noqa: S506 - a safe loader, written in C
    except yaml.YAMLError as fault:
        raise BadYaml(str(fault)) from None
    except _ODD_VALUES as fault:
        raise BadYaml(f"a value in it cannot be read ({fault})") from None
