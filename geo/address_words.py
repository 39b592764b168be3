"""How people write streets and house numbers, brought to one form: Chinese and Western."""

import re
from typing import Final
from unicodedata import normalize

WORDS: Final = {
    "street": "st", "road": "rd", "avenue": "ave", "lane": "ln", "drive": "dr", "court": "ct",
    "boulevard": "blvd", "place": "pl", "square": "sq", "highway": "hwy", "north": "n",
    "south": "s", "east": "e", "west": "w", "av": "ave", "str": "st",
}  # fmt: skip
"""Long and short forms of one word, each to the short one."""

SIGNS: Final = {"號": "号", "棟": "栋", "#": "号", "甲": "a", "乙": "b", "丙": "c"}
"""Characters that stand for another."""

_WORD = re.compile(r"[^\W\d_]+", re.ASCII)
_MARKS = re.compile(r"[\s.,;:，。、；：()（）\[\]\"'《》]+")
_HAN_SPACE = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")

_DIGITS: Final = {digit: n for n, digit in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2}
_TENS: Final = {"十": 10, "百": 100, "千": 1_000}
_HAN_NUMBER = re.compile(f"[{''.join(_DIGITS)}{''.join(_TENS)}]+(?=号|弄)")

NUMBER_MAX_DIGITS: Final = 5
"""A longer number is no house's: a telephone's, perhaps."""

_NUMBER = rf"\d{{1,{NUMBER_MAX_DIGITS}}}(?!\d)[a-z]?(?![a-z])"
_AFTER = re.compile(rf"\s*(?:no\s*|n°\s*|门牌)?(?P<lane>{_NUMBER})(?:弄(?P<house>{_NUMBER})?)?")
_BEFORE = re.compile(rf"(?<![\d-])(?P<house>{_NUMBER})(?:号)?\s*$")


def plain_words(text: str) -> str:
    """Give a text in one form: narrow, small, without marks, words shortened, numbers in digits."""
    text = normalize("NFKC", text).casefold()
    for sign, stands_for in SIGNS.items():
        text = text.replace(sign, stands_for)
    text = _MARKS.sub(" ", text).strip()
    text = _WORD.sub(lambda found: WORDS.get(found[0], found[0]), text)
    text = _HAN_NUMBER.sub(lambda found: str(_from_han(found[0])), text)
    return _HAN_SPACE.sub("", text)


def number_key(number: str) -> str:
    """Give a house number in one form: ``１６８ 号`` is ``168``, ``168弄3号`` is ``168弄3``."""
    return plain_words(number).replace(" ", "").removesuffix("号").removeprefix("no")


def number_after(text: str) -> list[str]:
    """Give the numbers that may be meant right behind a street's name, the finest first."""
    found = _AFTER.match(text)
    if found is None:
        return []
    lane, house = found["lane"], found["house"]
    return [f"{lane}弄{house}", f"{lane}弄", lane] if house else [f"{lane}弄", lane]


def number_before(text: str) -> list[str]:
    """Give the number right before a street's name, as in ``168 Huzhou Street``."""
    found = _BEFORE.search(text)
    return [] if found is None else [found["house"]]


def is_cut(text: str, start: int, end: int) -> bool:
    """Tell whether a part of a text would cut a Latin word or a number at either end."""
    return _joins(text, start) or _joins(text, end)


def _joins(text: str, at: int) -> bool:
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    return left.isascii() and right.isascii() and left.isalnum() and right.isalnum()


def _from_han(text: str) -> int:
    """Read a Chinese number below ten thousand, counted (一百六十八) or spelt (一六八)."""
    if not any(letter in _TENS for letter in text):
        return int("".join(str(_DIGITS[letter]) for letter in text))
    total, digit = 0, 0
    for letter in text:
        if letter in _TENS:
            total += (digit or 1) * _TENS[letter]
            digit = 0
        else:
            digit = _DIGITS[letter]
    return total + digit
