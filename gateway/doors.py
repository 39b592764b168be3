"""Every door of the gateway, in one list."""

from xiaohe.gateway import health
from xiaohe.gateway.alerts import doors as alerts
from xiaohe.gateway.door import Door
from xiaohe.gateway.parts import Parts


def doors_of(parts: Parts) -> tuple[Door, ...]:
    """Give all doors, made for these parts."""
    return (*health.doors(parts), *alerts.doors(parts))
