"""Faust's consumer, made to read on from where the decisions log says.

The offsets of a consumer group are advice: Faust commits past an unacknowledged event where
nothing was committed before, and anybody can move them by hand. The log is the truth.
"""

from collections.abc import Callable, Mapping
from typing import Any

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP


class LogConsumer(Consumer):
    """Seeks to the positions that ``next_offsets`` gives, never to committed ones.

    ``next_offsets`` is called after ``app.on_rebalance_complete``; a partition that it does not
    name stays where it is, and no lane takes what it brings.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - passed on as Faust gives them
        next_offsets: Callable[[], Mapping[tuple[str, int], int]],
        **kwargs: Any,  # noqa: ANN401 - passed on as Faust gives them
    ) -> None:
        super().__init__(*args, **kwargs)
        self._next_offsets = next_offsets

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek all owned partitions; what Faust takes for their committed offsets."""
        wanted = {TP(topic, p): offset for (topic, p), offset in self._next_offsets().items()}
        assigned = self.assignment()
        found = {tp: offset for tp, offset in wanted.items() if tp in assigned}
        if found:
            await self.seek_wait(found)
        return found
