"""The topics as ``topics.yaml`` has them, and a cluster made to match.

``load_topics`` gives a ``Topics``, in which every topic is an attribute. ``xiaohe.cluster``
compares it with a cluster and makes the cluster match.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from xiaohe.dispatch.yaml_text import BadYaml, read_yaml

TOPICS_FILE = Path(__file__).parent / "topics.yaml"

RETENTION_UNLIMITED_MS = -1
"""Kafka's own word for "never"."""

SEGMENT_DEFAULT_MS = 7 * 86_400_000
"""Kafka's default: a log file is closed after a week, or at 1 GiB."""

ADMIN, WORKER, GATEWAY, AUDITOR, ROSTER_LOADER, ACCESS_KEEPER, DATA_KEEPER, DEVICES = (
    "admin", "worker", "gateway", "auditor", "roster-loader", "access-keeper", "data-keeper",
    "devices",
)  # fmt: skip
"""Principals that the program itself comes as; devices write the topics of ``sources``."""

UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class TopicsFileError(ValueError):
    """``topics.yaml`` (or a setting in its place) is wrong; the message says where and how."""


PrincipalName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,60}$")]
"""A SCRAM user, a certificate's common name, and part of file names."""

Group = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]{1,200}\*?$")]
"""A consumer group, or with ``*`` at the end all that begin so."""


class PrincipalEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One who comes to the broker, as they stand in the file."""

    what: str
    group: Group | None = None
    watches: tuple[Group, ...] = ()
    superuser: bool = False


class TopicEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One topic as it stands in the file."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]{1,200}$")]
    what: str
    kind: Literal["input", "output", "engine", "gateway"]
    key: str
    retention: str
    timestamp: Literal["received", "written"]
    written_by: tuple[PrincipalName, ...]
    read_by: tuple[PrincipalName, ...]
    partitions: Annotated[int, Meta(ge=1, le=1024)] | None = None
    cleanup: Literal["delete", "compact"] = "delete"
    segment: str | None = None
    deciding: bool = False
    value_bytes_max: Annotated[int, Meta(ge=1)] | None = None
    personal: tuple[str, ...] = ()


class SourceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device feed in a format of its own, as it stands in the file."""

    name: Annotated[str, Meta(pattern=r"^raw\.[a-zA-Z0-9._-]{1,100}$")]
    what: str
    format: str
    datum: Literal["wgs84", "gcj02", "bd09"]
    timezone: str
    trust: Annotated[float, Meta(ge=0, le=1)]
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 1
    retention: str = "1 d"


class TopicsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    area_partitions: Annotated[int, Meta(ge=1, le=1024)]
    replication_factor: Annotated[int, Meta(ge=1, le=16)]
    message_bytes_max: Annotated[int, Meta(ge=1024)]
    principals: dict[PrincipalName, PrincipalEntry]
    topics: dict[str, TopicEntry]
    sources: dict[str, SourceEntry]


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic, ready to be used and to be made. ``name`` has the prefix, ``id`` never."""

    id: str
    name: str
    what: str
    kind: Literal["input", "output", "engine", "gateway", "source"]
    key: str
    partitions: int
    replication_factor: int
    retention_ms: int
    segment_ms: int
    compacted: bool
    received_time: bool
    message_bytes_max: int
    value_bytes_max: int | None
    deciding: bool
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    personal: tuple[str, ...]

    @property
    def is_area(self) -> bool:
        """Whether it is keyed by area, and partitioned as all such topics are."""
        return self.key == "area_id"

    @property
    def configs(self) -> dict[str, str]:
        """Kafka's settings of the topic, all that ``topics.yaml`` has a say in."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": "-1",
            "segment.ms": str(self.segment_ms),
            "max.message.bytes": str(self.message_bytes_max),
            "message.timestamp.type": "LogAppendTime" if self.received_time else "CreateTime",
            "min.insync.replicas": str(max(1, self.replication_factor - 1)),
            "unclean.leader.election.enable": "false",
        }


class Topics(msgspec.Struct, frozen=True, kw_only=True):
    """All topics, by the words under which they stand in ``topics.yaml``."""

    alerts: Topic
    positions: Topic
    member_actions: Topic
    operator_actions: Topic
    roster: Topic
    incident_events: Topic
    dispatches: Topic
    incidents: Topic
    matter_events: Topic
    matters: Topic
    members: Topic
    area_events: Topic
    dead_letters: Topic
    redactions: Topic
    access: Topic
    audit: Topic
    webhooks: Topic
    webhook_progress: Topic
    webhook_dead_letters: Topic
    decisions: Topic
    wakeups: Topic
    sources: dict[str, Topic]
    source_entries: dict[str, SourceEntry]
    principals: dict[str, PrincipalEntry]
    area_partitions: int

    def __iter__(self) -> Iterator[Topic]:
        """Every topic, sources last."""
        for field in TOPIC_IDS:
            yield getattr(self, field)
        yield from self.sources.values()

    @property
    def area_topics(self) -> tuple[Topic, ...]:
        """Those keyed by area: same number of partitions, one owner for one number."""
        return tuple(topic for topic in self if topic.is_area)

    @property
    def deciding_inputs(self) -> tuple[Topic, ...]:
        """Those whose every record is decided upon, in the order of the file."""
        return tuple(topic for topic in self if topic.deciding)

    def of(self, principal: str) -> tuple[Topic, ...]:
        """Those that a principal writes or reads, which are those that it can see."""
        return tuple(
            topic for topic in self if principal in topic.written_by or principal in topic.read_by
        )

    def by_name(self, name: str) -> Topic | None:
        """The topic of that name on the cluster."""
        return next((topic for topic in self if topic.name == name), None)


TOPIC_IDS: tuple[str, ...] = tuple(
    field.name for field in msgspec.structs.fields(Topics) if field.type is Topic
)
"""The words that code may use."""


def load_topics(
    path: Path | None = None,
    *,
    prefix: str = "",
    area_partitions: int | None = None,
    replication_factor: int | None = None,
) -> Topics:
    """Read ``topics.yaml``; the arguments stand in for what it says.

    ``prefix`` goes before every name, so that several installations can share a cluster.
    Without ``replication_factor`` the environment's XIAOHE_REPLICATION_FACTOR counts, then the
    file's. Raises TopicsFileError.
    """
    where = path or TOPICS_FILE
    try:
        file = msgspec.convert(read_yaml(where.read_bytes()), TopicsFile)
    except OSError as error:
        raise TopicsFileError(f"{where} cannot be read: {error.strerror}.") from error
    except (BadYaml, RecursionError, msgspec.ValidationError) as error:
        raise TopicsFileError(f"{where}: {error}") from error
    copies = replication_factor or _copies_from_environment() or file.replication_factor
    file = msgspec.structs.replace(
        file,
        area_partitions=area_partitions or file.area_partitions,
        replication_factor=copies,
    )
    try:
        _check(file)
        topics = {key: _topic(file, key, entry, prefix) for key, entry in file.topics.items()}
        sources = {key: _source(file, key, entry, prefix) for key, entry in file.sources.items()}
    except TopicsFileError as error:
        raise TopicsFileError(f"{where}: {error}") from error
    return Topics(
        **topics,
        sources=sources,
        source_entries=file.sources,
        principals=file.principals,
        area_partitions=file.area_partitions,
    )


def _copies_from_environment() -> int | None:
    text = os.environ.get("XIAOHE_REPLICATION_FACTOR")
    if not text:
        return None
    if not re.fullmatch(r"[1-9][0-9]?", text):
        raise TopicsFileError(f"XIAOHE_REPLICATION_FACTOR is {text!r}; it must be 1, 2, 3 …")
    return int(text)


def _check(file: TopicsFile) -> None:
    """What the types cannot say."""
    missing = set(TOPIC_IDS) - set(file.topics)
    unknown = set(file.topics) - set(TOPIC_IDS)
    if missing or unknown:
        raise TopicsFileError(
            f"under topics, missing: {sorted(missing) or 'none'}, "
            f"not known to the program: {sorted(unknown) or 'none'}"
        )
    parts = {
        ADMIN, WORKER, GATEWAY, AUDITOR, ROSTER_LOADER, ACCESS_KEEPER, DATA_KEEPER, DEVICES,
    }  # fmt: skip
    if not parts <= set(file.principals):
        raise TopicsFileError(f"principals, missing: {sorted(parts - set(file.principals))}")
    names = [topic.name for topic in file.topics.values()]
    names += [source.name for source in file.sources.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TopicsFileError(f"the same name for two topics: {twice}")
    for key, entry in file.topics.items():
        strangers = {*entry.written_by, *entry.read_by} - set(file.principals)
        if strangers:
            raise TopicsFileError(
                f"topics.{key}: {sorted(strangers)} write or read it and are no principals; "
                f"known are {sorted(file.principals)}"
            )
        if (entry.key == "area_id") == (entry.partitions is not None):
            raise TopicsFileError(
                f"topics.{key}.partitions: an area topic has area_partitions and no number of "
                "its own; any other topic must have one"
            )
        if entry.kind != "output" and entry.timestamp != "received":
            raise TopicsFileError(
                f"topics.{key}.timestamp: windows count from receipt, so an input's must be "
                "'received'"
            )
        if entry.deciding and entry.key != "area_id":
            raise TopicsFileError(f"topics.{key}: only an area topic can be deciding")


def _topic(file: TopicsFile, key: str, entry: TopicEntry, prefix: str) -> Topic:
    segment = entry.segment
    return Topic(
        id=key,
        name=prefix + entry.name,
        what=entry.what,
        kind=entry.kind,
        key=entry.key,
        partitions=entry.partitions or file.area_partitions,
        replication_factor=file.replication_factor,
        retention_ms=_duration_ms(entry.retention, f"topics.{key}.retention"),
        segment_ms=_duration_ms(segment, f"topics.{key}.segment")
        if segment
        else SEGMENT_DEFAULT_MS,
        compacted=entry.cleanup == "compact",
        received_time=entry.timestamp == "received",
        message_bytes_max=file.message_bytes_max,
        value_bytes_max=entry.value_bytes_max,
        deciding=entry.deciding,
        written_by=entry.written_by,
        read_by=entry.read_by,
        personal=entry.personal,
    )


def _source(file: TopicsFile, key: str, entry: SourceEntry, prefix: str) -> Topic:
    return Topic(
        id=key,
        name=prefix + entry.name,
        what=entry.what,
        kind="source",
        key="sender",
        partitions=entry.partitions,
        replication_factor=file.replication_factor,
        retention_ms=_duration_ms(entry.retention, f"sources.{key}.retention"),
        segment_ms=UNITS_MS["h"],
        compacted=False,
        received_time=True,
        message_bytes_max=file.message_bytes_max,
        value_bytes_max=None,
        deciding=False,
        written_by=(DEVICES,),
        read_by=(GATEWAY,),
        personal=("all",),
    )


def _duration_ms(text: str, where: str) -> int:
    """``30 d`` and the like in milliseconds."""
    if text == "unlimited":
        return RETENTION_UNLIMITED_MS
    match = re.fullmatch(r"([1-9][0-9]*) ?(ms|s|min|h|d)", text)
    if match is None:
        raise TopicsFileError(
            f"{where}: {text!r} is no duration; write 'unlimited', or a number with "
            f"{', '.join(UNITS_MS)}"
        )
    return int(match[1]) * UNITS_MS[match[2]]
