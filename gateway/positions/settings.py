"""Section ``positions`` of data/doors.yaml: MQTT brokers for phones, and trust in doors."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from xiaohe.dispatch.inputs import Datum, Identifier, Share

PORT, PORT_TLS = 1883, 8883
"""Where MQTT brokers listen, without and with TLS."""

SESSION_S = 3_600
"""So long a broker keeps for the gateway what comes while it is away; a fix of an hour ago is
history, and a call for help of an hour ago nobody's any more."""

_Filter = Annotated[str, Meta(min_length=1, max_length=256)]


class MqttSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One MQTT broker that OwnTracks phones send to.

    ``topic`` is where their locations come, ``…/user/device``; ``tls`` without a ``ca`` trusts whom
    the system trusts. A password stands in a file, never here. ``trust`` is 0 to 1.
    """

    name: Identifier = "owntracks-mqtt"
    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    topic: _Filter = "owntracks/+/+"
    datum: Datum = "wgs84"
    trust: Share = 0.8
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    session_s: Annotated[int, Meta(ge=0, le=86_400)] = SESSION_S

    @property
    def address(self) -> tuple[str, int]:
        """Give host and port."""
        return self.host, self.port or (PORT_TLS if self.tls else PORT)


class PositionsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section ``positions``. ``trust`` is that of doors by name, where it is not 1."""

    mqtt: tuple[MqttSettings, ...] = ()
    trust: dict[str, Share] = {}
