"""Who may do what on a broker, derived from ``topics.yaml`` alone; and how a cluster differs.

A principal writes and reads the topics that name it, joins its own consumer group and looks at
those that it watches; nobody may do anything else. Kafka lets whoever reads or writes a topic also
ask about it (Describe), so that needs no rule of its own. A superuser has no rules: its broker
does not ask.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final

import msgspec

from xiaohe.topics import Topics

USER: Final = "User:"
"""What Kafka writes before a principal's name."""

ANY_HOST: Final = "*"
ANY_NAME: Final = "*"
ANY_PRINCIPAL: Final = "User:*"


class Resource(IntEnum):
    """What a rule is about, by Kafka's numbers (``ResourceType``)."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


class Pattern(IntEnum):
    """How a rule names its resource, by Kafka's numbers (``PatternType``)."""

    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """What a rule is for, by Kafka's numbers (``AclOperation``)."""

    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


class Permission(IntEnum):
    """Whether a rule allows or denies, by Kafka's numbers (``AclPermissionType``)."""

    DENY = 2
    ALLOW = 3


class Acl(msgspec.Struct, frozen=True, order=True):
    """One rule of a broker. ``principal`` is written as Kafka does, ``User:worker``."""

    principal: str
    resource: Resource
    name: str
    operation: Operation
    pattern: Pattern = Pattern.LITERAL
    permission: Permission = Permission.ALLOW
    host: str = ANY_HOST

    def __str__(self) -> str:
        """One line for people."""
        may = "may" if self.permission is Permission.ALLOW else "may not"
        name = self.name + ("*" if self.pattern is Pattern.PREFIXED else "")
        place = "" if self.host == ANY_HOST else f" from {self.host}"
        what = self.resource.name.lower().replace("_", " ")
        operation = self.operation.name.lower().replace("_", " ")
        return f"{self.principal.removeprefix(USER)} {may} {operation} {what} {name}{place}"

    def covers_topic(self, topic: str) -> bool:
        """Whether it is about a topic of that name."""
        if self.resource is not Resource.TOPIC:
            return False
        if self.pattern is Pattern.PREFIXED:
            return topic.startswith(self.name)
        return self.name in (topic, ANY_NAME)


class AclDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How a cluster's rules differ from those of ``topics.yaml``.

    Attributes
    ----------
    missing : what a principal of the file may not yet do.
    beyond : rules of the file's principals that the file does not give.
    foreign : rules of others that are about our topics; they are shown, and nobody's to remove.
    """

    missing: tuple[Acl, ...]
    beyond: tuple[Acl, ...]
    foreign: tuple[Acl, ...]


def acls_of(topics: Topics) -> frozenset[Acl]:
    """Derive every rule from ``topics.yaml``."""
    return frozenset(_derived(topics))


def _derived(topics: Topics) -> Iterator[Acl]:
    for name, entry in topics.principals.items():
        if entry.superuser:
            continue
        principal = USER + name
        for topic in topics:
            if name in topic.written_by:
                yield Acl(principal, Resource.TOPIC, topic.name, Operation.WRITE)
            if name in topic.read_by:
                yield Acl(principal, Resource.TOPIC, topic.name, Operation.READ)
        if entry.group is not None:
            yield _on_group(principal, entry.group, Operation.READ)
        for group in entry.watches:
            yield _on_group(principal, group, Operation.DESCRIBE)


def _on_group(principal: str, group: str, operation: Operation) -> Acl:
    pattern = Pattern.PREFIXED if group.endswith("*") else Pattern.LITERAL
    return Acl(principal, Resource.GROUP, group.removesuffix("*"), operation, pattern)


def difference(topics: Topics, found: Iterable[Acl]) -> AclDifference:
    """Compare a cluster's rules with those of ``topics.yaml``."""
    wanted, have = acls_of(topics), set(found)
    ours = {USER + name for name in topics.principals}
    names = {topic.name for topic in topics}
    more = have - wanted
    about_ours = {acl for acl in more if any(acl.covers_topic(name) for name in names)}
    # Of our principals, what is about no topic counts as well: a group, or the whole cluster.
    elsewhere = {acl for acl in more if acl.resource is not Resource.TOPIC}
    return AclDifference(
        missing=tuple(sorted(wanted - have)),
        beyond=tuple(sorted(acl for acl in about_ours | elsewhere if acl.principal in ours)),
        foreign=tuple(sorted(acl for acl in about_ours if acl.principal not in ours)),
    )
