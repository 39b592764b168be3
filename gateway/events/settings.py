"""What an operator sets of the webhooks: section ``events`` of data/doors.yaml."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from msgspec import Meta, Struct

_Seconds = Annotated[float, Meta(gt=0, le=30 * 86_400)]


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How webhooks are delivered, and where they may lead."""

    allow_http: bool = False
    allow_networks: tuple[str, ...] = ()
    timeout_s: _Seconds = 10.0
    first_pause_s: _Seconds = 1.0
    pause_s_max: _Seconds = 300.0
    retry_for_s: _Seconds = 3_600.0
    disable_after_s: _Seconds = 86_400.0

    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Give the networks that are allowed though they are not public. Raises ValueError."""
        return tuple(ip_network(each) for each in self.allow_networks)


class EventsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section ``events``."""

    webhooks: WebhookSettings = WebhookSettings()
