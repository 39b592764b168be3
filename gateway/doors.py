"""Every door of the gateway, in one list."""

from xiaohe.gateway import documents, health
from xiaohe.gateway.access import action_doors, ca_door, login_doors
from xiaohe.gateway.alerts import doors as alerts
from xiaohe.gateway.door import Door
from xiaohe.gateway.events import hook_doors, incident_doors, sse
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.positions import device_doors
from xiaohe.gateway.positions import doors as positions


def doors_of(parts: Parts) -> tuple[Door, ...]:
    """Give all doors, made for these parts."""
    found: list[Door] = [
        *health.doors(parts),
        *login_doors.doors(parts),
        *action_doors.doors(parts),
        *ca_door.doors(parts),
        *alerts.doors(parts),
        *positions.doors(parts),
        *device_doors.doors(parts),
        *sse.doors(parts),
        *incident_doors.doors(parts),
        *hook_doors.doors(parts),
        *documents.doors(parts, lambda: tuple(found)),
    ]
    return tuple(found)
