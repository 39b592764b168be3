"""The report: one file that needs nothing else, and says what was measured."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.sim.brigades import busy_town, days, member, play, setting
from tests.sim.test_whatif_figures import compared
from xiaohe.sim.whatif.compare import Comparison, Play, compare
from xiaohe.sim.whatif.report import render
from xiaohe.sim.whatif.table import number


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Six days, two scenarios."""
    return compared()


@pytest.fixture(scope="module")
def html(comparison: Comparison) -> str:
    """The report on them, with a note that would break a careless page."""
    return render(comparison, ['<script>alert("小河")</script> left out'])


class Page(HTMLParser):
    """What a browser would fetch, and the ids and the references within the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.refers: set[str] = set(re.findall(r"url\(#([^)]+)\)", html))
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one tag."""
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href", "xlink:href", "srcset", "data", "action"}:
                if (value or "").startswith("#"):
                    self.refers.add((value or "")[1:])
                else:
                    self.fetched.append(value or "")


def test_nothing_is_fetched_and_nothing_runs(html: str) -> None:
    """No address of any other place is in it, no script, no import of a style."""
    page = Page(html)
    assert page.fetched == []
    assert not re.search(r"https?://|//[a-z]+\.|@import", html)
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)


def test_all_references_within_the_page_lead_somewhere(html: str) -> None:
    """Charts keep their own ids: none is there twice, none is missing."""
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert page.refers <= set(page.ids)
    assert page.refers


def test_names_are_text_in_any_script_and_never_markup(html: str) -> None:
    """A note is shown as it was written."""
    assert "&lt;script&gt;alert(&#34;小河&#34;)" in html
    assert html.count("<svg") == 5, "a map and four charts"
    assert "<text" in html, "the reader's fonts write the charts' words"
    assert "font-family" not in "".join(re.findall(r"<text[^>]*>", html))


def test_the_colours_are_the_pages_own(html: str) -> None:
    """By day, by night and in print: no chart brings its own ink."""
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "var(--s0)" in drawn
    assert "var(--ink)" in drawn
    assert not re.findall(r"#[0-9a-f]{6}\b", drawn)
    assert "prefers-color-scheme: dark" in html


def test_every_call_is_on_the_map_in_the_colour_of_its_arrival(
    html: str, comparison: Comparison
) -> None:
    """Of the first scenario."""
    assert html.count("<circle") == len(comparison.played[0].result.incidents)
    assert html.count("<title>red") == html.count("<title>blue") == 4, "a post each"


def test_the_page_says_what_was_measured(html: str, comparison: Comparison) -> None:
    """The figures of every scenario stand in it."""
    for played in comparison.played:
        assert number(played.figures["arrive_on_time"].value, "share") in html
    assert f"seed {comparison.seed}" in html


def test_a_page_is_the_same_again(html: str, comparison: Comparison) -> None:
    """Nothing of the moment at which it was made is in it."""
    assert html == render(comparison, ['<script>alert("小河")</script> left out'])


def test_a_brigade_without_calls_has_a_page() -> None:
    """Every figure of calls is a dash."""
    town = setting(member("m1", "a", post=None, roads=[{"road_id": "ab", "role": "owner"}]))
    assert "—" in render(compare([Play("as it is", "", town, ())], days(1), 1), [])


def test_posts_are_not_needed() -> None:
    """A member without a post patrols their own roads."""
    town, calls = busy_town(1, 30)
    free = replace(town, roster=tuple(
        member(e.member_id, "a", post=None, roads=[{"road_id": "ab", "role": "owner"}])
        for e in town.roster
    ))  # fmt: skip
    assert len(play(free, calls).incidents) > 0
