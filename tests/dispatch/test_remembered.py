"""What an area remembers of ids and of incidents that are over: all of it, in little room."""

import os
import subprocess
import sys
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatch.town import Town
from xiaohe.dispatch.packed import pack, unpack
from xiaohe.dispatch.remembered import LEAF_MAX, ActionTimes, digest_of_id
from xiaohe.dispatch.snapshot import from_rows, rows
from xiaohe.dispatch.state import AreaState, SeenAlert, SeenAlerts

LIFE_BYTES_MAX = 1_300
"""Of an alert that four actions answered, in the memory of the process; measured: 770. A string and
a node for each id, and its incident as it was, would be 4,000."""


def kept(ids: Sequence[str]) -> ActionTimes:
    """Remember some ids, each with the number of its last mention."""
    found = ActionTimes()
    for n, each in enumerate(ids):
        found = found.insert(each, n)
    return found


@given(st.lists(st.integers(0, 40).map(str), max_size=60), st.data())
def test_it_remembers_as_a_dictionary_does(ids: list[str], data: st.DataObject) -> None:
    """The last value of each id, until it is forgotten."""
    found, expected = kept(ids), {each: n for n, each in enumerate(ids)}
    for each in data.draw(st.sets(st.sampled_from(sorted(expected)))) if expected else ():
        found, _ = found.remove(digest_of_id(each)), expected.pop(each)
    assert len(found) == len(expected)
    assert {n: found.get(str(n)) for n in range(41)} == {n: expected.get(str(n)) for n in range(41)}
    assert dict(found.items()) == {digest_of_id(each): n for each, n in expected.items()}


def test_many_ids_are_found_again_and_forgotten_again() -> None:
    """Beyond one leaf, and beyond one level of leaves."""
    ids = [f"w{n}" for n in range(20 * LEAF_MAX)]
    whole = kept(ids)
    assert [whole.get(each) for each in ids] == list(range(len(ids)))
    assert whole.get("w") is None
    half = whole
    for each in ids[::2]:
        half = half.remove(digest_of_id(each))
    assert len(half) == len(ids) // 2
    assert [half.get(each) for each in ids[:4]] == [None, 1, None, 3]
    assert whole.get("w0") == 0, "the state before is what it was"


def test_the_order_in_which_ids_came_is_not_seen() -> None:
    """Equal is what remembers the same, and it gives the same records in the same order."""
    ids = [f"w{n}" for n in range(5 * LEAF_MAX)]
    one = kept(ids)
    other = ActionTimes()
    for n, each in reversed(list(enumerate(ids))):
        other = other.insert(each, n)
    assert one == other == ActionTimes.of(other.records())
    assert list(one.records()) == list(other.records()) == sorted(one.records())
    assert one != other.insert("w0", 7)
    assert one != other.remove(digest_of_id("w0"))


def test_a_record_is_found_only_where_one_begins() -> None:
    """A digest that lies across two records is nobody's."""
    one, two = b"0123456789abcdef", b"ghijklmnopqrstuv"
    found = ActionTimes.of([one, two])
    assert found.at(one[:10]) == int.from_bytes(b"abcdef", "big")
    assert found.at((one + two)[6:16]) is None


def test_an_alert_that_is_none_of_ours_is_not_half_remembered() -> None:
    """Ids and fingerprints that the digits cannot give back are refused."""
    seen = SeenAlert("inc-" + "0123456789" * 2, "ab" * 32, 7)
    assert SeenAlerts().insert("a1", seen).get("a1") == seen
    for odd in (
        SeenAlert("i1", seen.fingerprint, 7),
        SeenAlert(seen.incident_id.upper(), seen.fingerprint, 7),
        SeenAlert(seen.incident_id, "AB" * 32, 7),
        SeenAlert(seen.incident_id, seen.fingerprint, -1),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            SeenAlerts().insert("a1", odd)


def test_rows_of_one_alert_and_one_action_are_read_as_well() -> None:
    """So version 2 wrote them."""
    town = Town("member at\nm1 b")
    town.alert("a1", at="a")
    town.member("m1").accepts(action_id="w-1")
    now = list(rows({"town": town.state}))
    seen, taken_ms = town.state.alerts.get("a1"), town.state.actions.get("w-1")
    old = [
        *(row for row in now if not row.startswith((b'["alerts"', b'["actions"'))),
        msgspec.json.encode(("alert", "town", ("a1", seen))),
        msgspec.json.encode(("action", "town", ("w-1", taken_ms))),
    ]
    assert len(old) == len(now)
    assert from_rows(old) == from_rows(now) == {"town": town.state}


@pytest.mark.parametrize(
    "value", ["AAAA", "?", "é", "A" * 24 + "=", ["w1", -1], ["w1", 2**60], ["\udc00", 1], 7]
)
def test_rows_that_say_nothing_that_is_remembered_are_none_of_ours(value: object) -> None:
    """They raise what every bad row raises."""
    head = next(rows({"town": AreaState("town", "peacetime")}))
    kind = "action" if isinstance(value, list) else "actions"
    row = (
        msgspec.json.encode((kind, "town", value))
        if value != ["\udc00", 1]
        else (b'["action","town",["\\udc00",1]]')
    )
    with pytest.raises(msgspec.MsgspecError):
        from_rows([head, row])


@given(st.binary(max_size=3_000))
def test_what_is_packed_is_unpacked(text: bytes) -> None:
    """Whatever it says."""
    assert unpack(pack(text)) == text


def test_an_incident_that_is_over_is_all_there() -> None:
    """It can be looked at, reopened, closed again and forgotten as if it had stayed as it was."""
    town = Town("member at\nm1 b")
    town.alert("a1", at="a")
    under_way = town.incident()
    assert list(town.state.incidents.under_way()) == [under_way]
    town.member("m1").completes()
    over = town.incident()
    assert (over.state, over.alerts, over.place) == ("resolved", ("a1",), under_way.place)
    assert list(town.state.incidents.under_way()) == []
    assert dict(town.state.incidents.over_since()) == {over.incident_id: over.last_ms}
    assert list(town.state.incidents.items()) == [(over.incident_id, over)]
    assert msgspec.json.encode(over) == town.state.incidents.json(over.incident_id)
    town.desk("reopen")
    assert list(town.state.incidents.under_way()) == [town.incident()]
    assert dict(town.state.incidents.over_since()) == {}
    town.desk("cancel")
    assert over.incident_id not in town.state.incidents.remove(over.incident_id)


LIVES = """
import gc, os
from tests.dispatch.town import Town

def held():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

town = Town("member at\\nm1 b\\nm2 c")

def live(number):
    town._everybody_reports()
    town.alert(f"704a0133-7e2d-85ef-5a79-{number:012}", at="b")
    order = town.orders()[0]
    for name in ("accept", "en_route", "arrive", "complete"):
        town.now_ms += 1000
        action_id = f"{name:x<8}-7e2d-85ef-5a79-{number:012}"
        town.action(order.member_id, name, None, dispatch_id=order.dispatch_id, action_id=action_id)
    town.decisions.clear()
    town.opened.clear()

for number in range(500):
    live(number)
before = held()
for number in range(500, 3500):
    live(number)
print((held() - before) / 3000)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc here")
def test_an_incidents_whole_life_leaves_little_behind() -> None:
    """Of each alert and its answers less than LIFE_BYTES_MAX stays for its month."""
    told = subprocess.run(
        [sys.executable, "-c", LIVES], capture_output=True, text=True, check=True, timeout=120
    )
    assert float(told.stdout) < LIFE_BYTES_MAX
