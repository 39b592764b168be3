"""The AsyncAPI 3 document of what goes over Kafka: ``topics.yaml`` and the types of the messages.

Nothing here is written twice: names, keys, partitions and retention are the topics', fields and
limits the types', so that the document cannot say another thing than the program does.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from xiaohe.topics import Topic, Topics
from xiaohe.wire.codec_actions import MEMBER_ACTIONS, OPERATOR_ACTIONS
from xiaohe.wire.messages import MESSAGES, Message

ASYNCAPI: Final = "3.0.0"
KAFKA_BINDING: Final = "0.5.0"
VERSION: Final = "1.0.0"
"""Of the contract: fields and types are added within 1, none is renamed or taken away."""

REFERENCE: Final = "#/components/schemas/{name}"
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

Json = dict[str, Any]

ABOUT: Final = (
    "An event-streaming dispatch engine: alerts and positions come in on Kafka, orders to members "
    "and every fact about incidents go out. Drop duplicates by ce_source and ce_id; ignore lower "
    "epochs of an area; skip types and fields that you do not know."
)

HEADERS: Final[Json] = {
    "type": "object",
    "description": "CloudEvents 1.0 in binary mode; ce_source and ce_id are the same pair again "
    "when a record is sent twice.",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string"},
        "ce_source": {"type": "string", "format": "uri-reference"},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "content-type": {"type": "string", "const": "application/json"},
    },
}
OUTPUTS_HAVE: Final = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"]


def asyncapi(topics: Topics, servers: str | None = None) -> Json:
    """Make the document; ``servers`` is the cluster's address, where it may be told."""
    told = [topic for topic in topics if topic.kind != "engine"]
    document: Json = {
        "asyncapi": ASYNCAPI,
        "id": "urn:xiaohe:dispatch",
        "info": {
            "title": "Xiaohe",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.id: _channel(topic) for topic in told},
        "operations": {
            f"{_verb(topic)}_{topic.id}": _operation(topic) for topic in told if _of(topic)
        },
        "components": {
            "messages": {message.name: _message(message, topics) for message in MESSAGES},
            "schemas": {"CloudEventsHeaders": HEADERS} | schemas(topics, REFERENCE),
        },
    }
    if servers is not None:
        document["servers"] = {"kafka": {"host": servers, "protocol": "kafka"}}
    return document


def schemas(topics: Topics, ref_template: str) -> dict[str, Json]:
    """Give the JSON Schema of every type, by its name; references as ``ref_template`` says."""
    types = [message.struct for message in MESSAGES]
    _, found = msgspec.json.schema_components(
        types, ref_template=ref_template, schema_hook=_anything
    )
    for message in MESSAGES:
        _as_on_the_wire(found[message.name], message, getattr(topics, message.topic))
    return {name: found[name] for name in sorted(found)}


def _anything(kind: type) -> Json:
    """The schema of what is free in form: the ``fields`` of a desk's action."""
    assert kind is object, f"{kind} is no type of a message"
    return {"description": "free in form"}


def schema_files(topics: Topics) -> Mapping[str, Json]:
    """Give a file's name and content for every type; they refer to one another by file."""
    found = schemas(topics, "{name}.schema.json")
    return {
        f"{name}.schema.json": {"$schema": DRAFT, "$id": f"{name}.schema.json", **schema}
        for name, schema in found.items()
    }


def _as_on_the_wire(schema: Json, message: Message, topic: Topic) -> None:
    """Say what the type alone cannot: the key stands in for a field, some fields are personal."""
    properties = schema["properties"]
    if message.direction == "in":
        if topic.is_area:
            schema["required"] = [x for x in schema.get("required", ()) if x != "area_id"]
        _say_actions(properties, message)
        if message.name == "Alert":
            schema["anyOf"] = [{"required": [x]} for x in ("position", "road_id", "address")]
        if message.name == "PositionMessage":
            schema["anyOf"] = [{"required": [x]} for x in ("member_id", "device_id")]
    for name, field in properties.items():
        if name in topic.personal or "all" in topic.personal:
            field["x-personal"] = True


def _say_actions(properties: Json, message: Message) -> None:
    known = {"MemberAction": MEMBER_ACTIONS, "OperatorAction": frozenset(OPERATOR_ACTIONS)}
    if message.name in known:
        properties["action"] = {"type": "string", "enum": sorted(known[message.name])}


def _of(topic: Topic) -> Iterable[Message]:
    return [message for message in MESSAGES if message.topic == topic.id]


def _verb(topic: Topic) -> str:
    """Say what the engine does with a topic: the document is written from its side."""
    return "send" if topic.kind == "output" else "receive"


def _channel(topic: Topic) -> Json:
    names = [message.name for message in _of(topic)]
    channel: Json = {
        "address": topic.name,
        "title": topic.name,
        "description": topic.what if names else f"{topic.what} Nothing is written here yet.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"kafka": _kafka_channel(topic)},
    }
    if topic.personal:
        channel["x-personal"] = list(topic.personal)
    if topic.value_bytes_max is not None:
        channel["x-value-bytes-max"] = topic.value_bytes_max
    return channel


def _kafka_channel(topic: Topic) -> Json:
    policies = ["compact"] if topic.compacted else ["delete"]
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
        "replicas": topic.replication_factor,
        "topicConfiguration": {
            "cleanup.policy": policies,
            "retention.ms": topic.retention_ms,
            "max.message.bytes": topic.message_bytes_max,
        },
        "bindingVersion": KAFKA_BINDING,
    }


def _operation(topic: Topic) -> Json:
    done_by = topic.read_by if topic.kind == "output" else topic.written_by
    others = "Read by" if topic.kind == "output" else "Written by"
    return {
        "action": _verb(topic),
        "channel": {"$ref": f"#/channels/{topic.id}"},
        "summary": f"{others}: {', '.join(done_by)}.",
        "messages": [
            {"$ref": f"#/channels/{topic.id}/messages/{message.name}"} for message in _of(topic)
        ],
    }


def _message(message: Message, topics: Topics) -> Json:
    topic: Topic = getattr(topics, message.topic)
    headers: Json = {"$ref": "#/components/schemas/CloudEventsHeaders"}
    if message.direction == "out":
        headers = {"allOf": [headers], "required": OUTPUTS_HAVE}
        headers["properties"] = {"ce_type": {"const": message.ce_type}}
    made: Json = {
        "name": message.ce_type or message.name,
        "title": message.name,
        "summary": message.what,
        "contentType": "application/json",
        "headers": headers,
        "payload": {"$ref": REFERENCE.format(name=message.name)},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"the {topic.key}, as bare text"},
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }
    return made
