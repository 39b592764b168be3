"""What waits in front of a lane."""

from xiaohe.streams.inbox import DUE_HEADER, Inbox
from xiaohe.streams.ports import WAKEUPS, Raw


def wakeup(offset, due_ms):
    """A wake-up for a deadline, received a second after it."""
    headers = ((DUE_HEADER, str(due_ms).encode()),)
    return Raw(WAKEUPS, 0, offset, due_ms + 1000, b"town", b"{}", headers)


def test_a_wake_up_that_comes_while_another_is_being_tried_waits_for_its_turn():
    """Its deadline is the earlier one: what is under way is taken out all the same."""
    inbox = Inbox({"alerts": 0, WAKEUPS: 0})
    inbox.put(wakeup(0, 5_000), None)
    under_way = inbox.first_wakeup()
    inbox.put(wakeup(1, 4_000), None)
    inbox.remove(under_way)
    left = inbox.first_wakeup()
    assert (left.raw.offset, len(inbox)) == (1, 1)
    inbox.remove(left)
    assert len(inbox) == 0
