"""This machine's own address: which ports are free, and whether a Kafka answers on one."""

import errno
import random
import socket
import ssl
import struct
from contextlib import closing

HOST = "127.0.0.1"

PORTS = range(20_000, 32_000)
"""Where free ports are looked for: below the range that systems give to outgoing connections
(Linux from 32768), for there a client that calls a stopped broker may end up talking to itself."""

ANSWER_TIMEOUT_S = 2.0
"""One question to a broker on the same machine."""


def answers(
    host: str,
    port: int,
    timeout_s: float = ANSWER_TIMEOUT_S,
    *,
    context: ssl.SSLContext | None = None,
) -> bool:
    """Whether a Kafka broker answers there, by its ApiVersions request (protocol version 0).

    A broker opens its port some time before it serves anybody; it answers this when it does, and
    before it asks who comes. With ``context`` TLS is spoken.
    """
    api_versions_key, version, correlation_id, no_client_id = 18, 0, 1, -1
    request = struct.pack(">hhih", api_versions_key, version, correlation_id, no_client_id)
    try:
        with closing(_connected(host, port, timeout_s, context)) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                head = answer.read(10)
    except OSError:
        return False
    if len(head) < 10:  # noqa: PLR2004 - size, correlation id, error code
        return False
    _, correlated, error_code = struct.unpack(">iih", head)
    return bool(correlated == correlation_id and error_code == 0)


def _connected(
    host: str, port: int, timeout_s: float, context: ssl.SSLContext | None
) -> socket.socket:
    connection = socket.create_connection((host, port), timeout_s)
    if context is None:
        return connection
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def is_free(port: int) -> bool:
    """Whether a program could listen there now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(taken: set[int]) -> int:
    """A free port that is not in ``taken``, to which it is added. Raises OSError if none is.

    A random one, so that brokers of several folders seldom want the same.
    """
    candidates = random.SystemRandom().sample(PORTS, len(PORTS))
    for port in candidates:
        if port not in taken and is_free(port):
            taken.add(port)
            return port
    raise OSError(errno.EADDRINUSE, f"every port from {PORTS[0]} to {PORTS[-1]} is taken")
