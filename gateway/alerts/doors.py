"""All doors through which alerts come in, around one intake."""

from xiaohe.gateway.alerts import cap_door, feed_door, http, open311_door
from xiaohe.gateway.alerts.address import Addresses
from xiaohe.gateway.alerts.intake import Intake
from xiaohe.gateway.door import Door
from xiaohe.gateway.parts import Parts


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the doors of alerts."""
    intake = Intake(parts, Addresses(parts.known.pieces, parts.addresses).complete)
    return (
        *http.doors(intake),
        *cap_door.doors(intake, parts),
        *feed_door.doors(intake, parts.feeds),
        *(open311_door.doors(intake, parts, parts.services) if parts.services else ()),
    )
