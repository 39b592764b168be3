"""Every door of the gateway, in one list."""

from xiaohe.gateway import health
from xiaohe.gateway.access import action_doors, login_doors
from xiaohe.gateway.door import Door
from xiaohe.gateway.parts import Parts


def doors_of(parts: Parts) -> tuple[Door, ...]:
    """Give all doors, made for these parts."""
    return (
        *health.doors(parts),
        *login_doors.doors(parts),
        *action_doors.doors(parts),
    )
