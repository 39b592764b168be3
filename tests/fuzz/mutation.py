"""Nearly good inputs: a valid sample in which a few things are wrong, as senders get them wrong.

A byte-level fuzzer seldom comes past the JSON syntax. These mutations work on the value: fields
dropped, renamed, swapped and nested, numbers at the edges of their ranges and in other units, text
in other scripts and lengths; a few at the end on the written text: keys twice, NaN, cut off.
"""

import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

CANARY: Final = "Zq9canary"
"""Stands for somebody's words; what a refusal says must never repeat it."""

Mutate = Callable[[bytes, Random], bytes]

EDGE_NUMBERS: Final[tuple[Any, ...]] = (
    *(0, 1, -1, 2, 4, 5, 50, 51, 1000, 1001, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63)),
    *(-(2**63) - 1, 10**30, 10**400, -(10**400), 0.0, -0.0, 0.5, 2.0, 1.0000000001, -1e-20, 5e-324),
    *(1e22, 1e308, -1e308, 180, 180.0000001, -180, 90, 90.0000001, -90.5, 360, 360.5, -360),
    *(math.nan, math.inf, -math.inf, 120140000, 1_900_000_000_000),
)
"""Both sides of every limit of the contract, and what other units and clocks give."""

ODD_TEXTS: Final = (
    *(
        "",
        " ",
        "a",
        "\n",
        "a\n",
        "\ud800",
        "\udfff\ud800",
        "\x00",
        "\x1b[31m",
        "\ufeffa",
        "\u202ea",
    ),
    *(
        "e\u0301",
        "\u00e9",
        "小河路",
        "😀" * 3,
        "null",
        "NaN",
        "1e5",
        "true",
        "../../etc",
        "<script>",
    ),
    *("x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 4000, "x" * 4001, "街" * 129, "-a", ".a"),
    *("a b", "a/b", "ａ", "a\u200b", "ADMIN", CANARY, CANARY + "\n", "wgs84", "gcj02", "bd09"),
)

TIMES: Final = (
    *("2026-11-23T09:15:02Z", "2026-11-23T09:15:02.123Z", "2026-11-23T09:15:02.123456+08:00"),
    *("2026-11-23 09:15:02+0800", "2026-11-23t09:15:02z", "2026-02-29T00:00:00Z"),
    *(
        "2026-11-23T09:15:60Z",
        "2026-11-23T24:00:00Z",
        "0000-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-23:59"),
    *("1999-12-31T23:59:59.999Z", "2100-01-01T00:00:00Z", "2099-12-31T23:59:59.999999Z"),
    *("2026-11-23T09:15:02", "2026-11-23", "1700000000000", "２026-11-23T09:15:02Z"),
    *("2026-11-23T09:15:02.Z", "2026-11-23T09:15:02,5Z", "2026-11-23T09:15:02+24:00", "now"),
)

DEPTHS: Final = (2, 8, 31, 32, 33, 200, 1100)
LENGTHS: Final = (0, 2, 31, 32, 33, 100)
NUMBERS_OF_A_FIELD: Final = (0.001, 1000, -1, 1e7, 1 / 3600)
CHANGES_MAX: Final = 4


class JsonMutator:
    """Changes JSON values; ``samples`` are good ones, ``words`` what its fields may say."""

    def __init__(self, samples: Sequence[Any], words: Sequence[Any] = ()) -> None:
        self.samples = tuple(json.dumps(sample).encode() for sample in samples)
        self.names = tuple(sorted({name for each in samples for name in _names(each)}))
        self.words = (*words, *self.names)

    def __call__(self, value: bytes, rng: Random) -> bytes:
        """Give the value with some things changed; noise is taken for a sample instead."""
        return self.written(self.changed(value, rng), rng)

    def changed(self, value: bytes, rng: Random) -> Any:
        """Give the value, parsed and changed in one to CHANGES_MAX places."""
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = json.loads(rng.choice(self.samples))
        if not isinstance(found, dict | list) or not found or rng.random() < 1 / 16:
            found = json.loads(rng.choice(self.samples))
        for _ in range(rng.randint(1, CHANGES_MAX)):
            place = self._place(found, rng)
            if isinstance(place, dict):
                self._change_object(place, rng)
            elif place:
                self._change_list(place, rng)
        return found

    def _place(self, found: Any, rng: Random) -> Any:
        """Give an object or list somewhere inside; rather one near the top."""
        while True:
            inner = found.values() if isinstance(found, dict) else found
            inner = [each for each in inner if isinstance(each, dict | list) and each]
            if not inner or rng.random() < 0.5:
                return found
            found = rng.choice(inner)

    def _change_object(self, place: dict[str, Any], rng: Random) -> None:
        names = list(place)
        at, what = (rng.choice(names) if names else "x"), rng.randrange(12)
        if what == 0:
            place.pop(at, None)
        elif what == 1:  # under another name
            place[rng.choice(self.words_of_names(rng))] = place.pop(at, None)
        elif what == 2:  # two fields mixed up
            other = rng.choice(names or ["x"])
            place[at], place[other] = place.get(other), place.get(at)
        elif what == 3:
            place[rng.choice(self.words_of_names(rng))] = self.anything(rng)
        elif what == 4:
            place[at] = self._another(at, rng)
        else:
            place[at] = self._altered(place.get(at), rng)

    def words_of_names(self, rng: Random) -> Sequence[str]:
        """Give names: mostly those that the samples have."""
        return self.names if rng.random() < 0.9 and self.names else ODD_TEXTS

    def _another(self, name: str, rng: Random) -> Any:
        """Give what a sample has under this name."""
        sample = json.loads(rng.choice(self.samples))
        return sample.get(name) if isinstance(sample, dict) else self.anything(rng)

    def _change_list(self, place: list[Any], rng: Random) -> None:
        at, what = rng.randrange(len(place)), rng.randrange(6)
        if what == 0:
            del place[at]
        elif what == 1:
            place[:] = [place[at]] * rng.choice(LENGTHS)
        elif what == 2:
            place.insert(at, self.anything(rng))
        elif what == 3:
            rng.shuffle(place)
        else:
            place[at] = self._altered(place[at], rng)

    def _altered(self, item: Any, rng: Random) -> Any:
        """Give something like it, or something else."""
        if rng.random() < 1 / 3:
            return self.anything(rng)
        if isinstance(item, bool) or item is None:
            return rng.choice((True, False, None, 0, 1, "true"))
        if isinstance(item, int | float):
            return self._other_number(item, rng)
        if isinstance(item, str):
            return self._other_text(item, rng)
        return rng.choice((None, [], {}, [item], {"data": item}, item))

    def _other_number(self, number: float, rng: Random) -> Any:
        what = rng.randrange(6)
        if what == 0:
            return rng.choice(EDGE_NUMBERS)
        if what == 1:
            return str(number)
        try:
            if what == 2:
                return number * rng.choice(NUMBERS_OF_A_FIELD)
            if what == 3:
                return float(number) if isinstance(number, int) else int(number)
            return number + rng.choice((-1, 1, 0.1, -1e-9))
        except (OverflowError, ValueError):
            return 0

    def _other_text(self, text: str, rng: Random) -> Any:
        what, at = rng.randrange(9), rng.randint(0, len(text))
        if what == 0:
            return rng.choice(ODD_TEXTS)
        if what == 1:
            return text[:at] + rng.choice(ODD_TEXTS) + text[at:]
        if what == 2:
            return text[:at]
        if what == 3:
            return text[at:] + text[:at]
        if what == 4:
            return rng.choice(TIMES)
        if what == 5:
            return text.swapcase()
        if what == 6:
            return (text * rng.choice((2, 10, 64, 130)))[:5000]
        if what == 7 and self.words:
            return rng.choice(self.words)
        return text[:at] + chr(rng.choice((0x30, 0x39, 0x2E, 0x3A, 0x2D, 0x7A))) + text[at + 1 :]

    def anything(self, rng: Random) -> Any:
        """Give any JSON value: mostly something that means something somewhere."""
        what = rng.randrange(8)
        if what < 2:
            return rng.choice(EDGE_NUMBERS)
        if what < 4:
            return rng.choice(ODD_TEXTS)
        if what == 4 and self.words:
            return rng.choice(self.words)
        if what == 5:
            return rng.choice((None, True, False, [], {}, [None], [[]], {"a": 1}))
        if what == 6:
            return rng.choice(TIMES)
        return json.loads(rng.choice(self.samples))

    def written(self, found: Any, rng: Random) -> bytes:
        """Write a value as JSON; now and then with what only the text can have wrong."""
        what = rng.randrange(40)
        if what == 0:
            found = {"specversion": "1.0", "type": "t", "data": found}
        elif what == 1:
            depth = rng.choice(DEPTHS)
            return b'{"x":' * depth + _dumps(found, rng) + b"}" * depth
        elif what == 2:
            depth = rng.choice(DEPTHS)
            return _dumps(found, rng)[:-1] + b',"deep":' + b"[" * depth + b"]" * depth + b"}"
        text = _dumps(found, rng)
        if what == 3:
            return _twice(text, rng)
        if what == 4:
            return text[: rng.randint(0, len(text))]
        if what == 5:
            return rng.choice((b"\xef\xbb\xbf", b" \n", b"\x00", b"[", b"\xff\xfe")) + text
        if what == 6:
            return text + rng.choice((b"\n", b"{}", b"\x00", b"]", b"\xff"))
        if what == 7:
            return text.decode(errors="replace").encode("utf-16")
        if what == 8:
            at = rng.randint(0, len(text))
            return text[:at] + rng.randbytes(rng.randint(0, 3)) + text[at + rng.randint(0, 3) :]
        return text


def _dumps(found: Any, rng: Random) -> bytes:
    """Write JSON in ASCII, or in UTF-8 where it can be."""
    try:
        if rng.random() < 0.5:
            return json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return json.dumps(found).encode()
    except ValueError:  # an integer longer than Python writes
        return b"{}"


def _twice(text: bytes, rng: Random) -> bytes:
    """Repeat a key with another value: of two the last one counts."""
    head, colon, _ = text.partition(b":")
    if not colon or not head.startswith(b"{"):
        return text
    other = rng.choice((b"null", b"1", b'"a"', b"{}", b"1e400", b"NaN"))
    key = head[1:]
    if rng.random() < 0.5:
        return b"{" + key + b":" + other + b"," + text[1:]
    return text[:-1] + b"," + key + b":" + other + b"}"


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for each in value.values() for name in _names(each)}
    if isinstance(value, list):
        return {name for each in value for name in _names(each)}
    return set()


class TextMutator:
    """Changes lines and words of a text that is no JSON: YAML, CSV, rules, times."""

    def __init__(self, samples: Sequence[bytes], words: Sequence[bytes]) -> None:
        self.samples = tuple(samples)
        self.words = tuple(words)

    def __call__(self, value: bytes, rng: Random) -> bytes:
        """Give the text with some things changed."""
        if not value or rng.random() < 1 / 16:
            value = rng.choice(self.samples)
        for _ in range(rng.randint(1, CHANGES_MAX)):
            value = self._change(value, rng)
        return value

    def _change(self, value: bytes, rng: Random) -> bytes:
        what, at = rng.randrange(9), rng.randint(0, len(value))
        if what == 0:
            return value[:at] + rng.choice(self.words) + value[at:]
        if what == 1:
            end = rng.randint(at, min(len(value), at + 12))
            return value[:at] + value[end:]
        if what == 2:
            return value[:at] + rng.choice(ODD_TEXTS).encode("utf-8", "replace") + value[at:]
        if what == 3:
            return value[:at] + str(rng.choice(EDGE_NUMBERS[:20])).encode() + value[at:]
        if what == 4:
            lines = value.split(b"\n")
            rng.shuffle(lines)
            return b"\n".join(lines)
        if what == 5:
            lines = value.split(b"\n")
            n = rng.randrange(len(lines))
            lines[n:n] = [lines[n]] * rng.choice((1, 2, 30))
            return b"\n".join(lines)[:20_000]
        if what == 6:
            word = rng.choice(self.words)
            old = rng.choice(self.words)
            return value.replace(old, word, 1)
        if what == 7:
            return value[:at] + rng.randbytes(rng.randint(1, 3)) + value[at + 1 :]
        return value[:at] + value[at : at + 1] * rng.choice((2, 40)) + value[at + 1 :]
