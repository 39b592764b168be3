"""A storm: what waited long for its decision is decided by itself, for others wait behind it."""

import pytest

from tests.dispatch.test_rules_joint_choice import taken_back, walkers, who
from tests.dispatch.town import Town
from xiaohe.dispatch.together import BEHIND_MS, FILLED_BEHIND_MAX


@pytest.mark.parametrize(("behind_ms", "jointly"), [(BEHIND_MS, True), (BEHIND_MS + 1, False)])
def test_an_alert_that_waited_long_is_decided_alone(behind_ms: int, jointly: bool) -> None:
    """Up to BEHIND_MS after its receipt an alert is decided with others, later without them."""
    town = walkers()
    town.alert("a1", at="ab@0.4")
    town.at("00:05")
    received = f"00:04.{1000 - behind_ms:03}"
    town.alert("a2", at="b", received=received)
    assert taken_back(town) == (["near"] if jointly else [])
    assert who(town)["a2"] == (["near"] if jointly else ["far"])


@pytest.mark.parametrize("is_behind", [False, True])
def test_who_is_free_again_in_a_storm_is_offered_to_the_first_that_wait(is_behind: bool) -> None:
    """Behind, FILLED_BEHIND_MAX incidents are looked at; the others have their own retry."""
    town = Town("""
        member at
        m1     a
    """)
    town.member("m1").declares("break")
    for n in range(FILLED_BEHIND_MAX):
        town.alert(f"a{n}", at="b", category=f"kind-{n}", skills=("diver",))
    town.alert("last", at="b")
    town.at("00:03")
    town.member("m1").declares("resume", received="00:02" if is_behind else None)
    assert who(town)["last"] == ([] if is_behind else ["m1"])
    town.at("00:12")
    assert who(town)["last"] == ["m1"]
