"""Every door of the gateway, in one list."""

from xiaohe.gateway import health
from xiaohe.gateway.door import Door
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.positions import device_doors


def doors_of(parts: Parts) -> tuple[Door, ...]:
    """Give all doors, made for these parts."""
    return (*health.doors(parts), *device_doors.doors(parts))
