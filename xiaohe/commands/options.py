"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

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
Http = Annotated[str, Parameter(name="--http", help="Where the gateway listens, HOST:PORT.")]
