"""Options that several commands share."""

from math import inf
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

PORT_MAX = 65_535

DEFAULT_HTTP = "127.0.0.1:8080"
"""Where the gateway listens unless told otherwise."""

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object a line.")]
DataDir = Annotated[
    Path, Parameter(name="--data-dir", help="Folder for what is kept while running.")
]
Servers = Annotated[
    str | None,
    Parameter(
        name="--bootstrap-servers", help="A running Kafka, HOST:PORT[,…]; else its own broker."
    ),
]
NeededServers = Annotated[
    str, Parameter(name="--bootstrap-servers", help="The Kafka to talk to, HOST:PORT[,…].")
]
Roads = Annotated[
    Path | None, Parameter(name="--roads", help="Roads file; else that of Xiaohe sub-district.")
]
RosterFile = Annotated[
    Path | None,
    Parameter(name="--roster", help="JSON array, published for members that the topic lacks."),
]
PolicyFile = Annotated[
    Path | None, Parameter(name="--policy", help="Policy file, laid over the defaults.")
]


def _address(_: object, text: str) -> None:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ValueError(f"{text!r} is no address: write HOST:PORT, such as {DEFAULT_HTTP}")


def positive(_: object, number: float) -> None:
    """Refuse what is not more than 0, or no number at all (nan, inf), for cyclopts to say."""
    if not 0 < number < inf:
        raise ValueError("must be more than 0")


Http = Annotated[
    str,
    Parameter(name="--http", help="Where the gateway listens, HOST:PORT.", validator=_address),
]
Workers = Annotated[int, Parameter(name="--workers", help="How many workers.", validator=positive)]
Speed = Annotated[
    float,
    Parameter(
        name="--speed",
        help="How much faster than the day: divides durations, multiplies speeds.",
        validator=positive,
    ),
]
