"""Whose an order is, and where an incident is: what the gateway has seen of ``dispatches``."""

from collections import OrderedDict
from typing import Final

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

ORDERS_KEPT_MAX: Final = 200_000
"""Orders that are remembered, the newest: a large city's week. Of an older one the engine knows."""

INCIDENTS_KEPT_MAX: Final = 100_000
"""Incidents of which the area is remembered, the newest."""


class Order(Struct, frozen=True, gc=False):
    """What matters of an order here; ``is_open`` as it was last seen."""

    member_id: str
    area_id: str
    incident_id: str
    is_open: bool


class _Seen(Struct, frozen=True, gc=False):
    dispatch_id: str
    incident_id: str
    area_id: str
    member_id: str
    state: str


class Orders:
    """The newest orders by their id; it follows the topic, within bounds."""

    def __init__(self) -> None:
        self._orders: OrderedDict[str, Order] = OrderedDict()
        self._areas: OrderedDict[str, str] = OrderedDict()
        self._decoder = msgspec.json.Decoder(_Seen)

    def take_record(self, record: ConsumerRecord) -> None:
        """Take one record of the topic; what is none of an order's is passed over."""
        if record.value is None:
            return
        try:
            seen = self._decoder.decode(record.value)
        except msgspec.MsgspecError:
            return
        order = Order(seen.member_id, seen.area_id, seen.incident_id, seen.state == "ordered")
        self._orders[seen.dispatch_id] = order
        self._orders.move_to_end(seen.dispatch_id)
        self._areas[seen.incident_id] = seen.area_id
        self._areas.move_to_end(seen.incident_id)
        if len(self._orders) > ORDERS_KEPT_MAX:
            self._orders.popitem(last=False)
        if len(self._areas) > INCIDENTS_KEPT_MAX:
            self._areas.popitem(last=False)

    def get(self, dispatch_id: str) -> Order | None:
        """Give an order, or None where it was not seen."""
        return self._orders.get(dispatch_id)

    def area_of(self, incident_id: str) -> str | None:
        """Give the area of an incident that somebody was sent to, or None."""
        return self._areas.get(incident_id)
