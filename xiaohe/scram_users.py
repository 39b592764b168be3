"""Passwords given to a broker's users: Kafka's AlterUserScramCredentials, which aiokafka lacks.

The password itself does not leave this process: the broker is given what SCRAM (RFC 5802) derives
from it with a salt, and that by an administrator over TLS.
"""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

SCRAM_SHA_512: Final = 2
"""Kafka protocol: the mechanism's number."""

ITERATIONS: Final = 8192
"""Rounds of derivation: twice what Kafka takes by default (4,096 is also its least)."""

SALT_BYTES: Final = 32

_NO_TAGS: Final[dict[int, bytes]] = {}


class _Response(Response):
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _RequestV0(RequestStruct):
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(
                ("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)
            ),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


_Upsertion = tuple[str, int, int, bytes, bytes, dict[int, bytes]]


class _AlterUserScramCredentials(Request[_RequestV0]):
    API_KEY = 51

    def __init__(self, upsertions: list[_Upsertion]) -> None:
        self._upsertions = upsertions

    def build(self, request_struct_class: type[_RequestV0]) -> _RequestV0:
        return request_struct_class([], self._upsertions, _NO_TAGS)


async def set_passwords(client: AIOKafkaClient, passwords: Mapping[str, str]) -> None:
    """Have each user known by this password from now on. Raises KafkaError."""
    upsertions = [_upsertion(user, password) for user, password in passwords.items()]
    request = _AlterUserScramCredentials(upsertions)
    answer = await client.send(client.get_random_node(), request)
    for user, code, message, _ in answer.results:
        if code:
            raise for_code(code)(f"{user}: {message}")


def _upsertion(user: str, password: str) -> _Upsertion:
    salt = secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return (user, SCRAM_SHA_512, ITERATIONS, salt, salted, _NO_TAGS)
