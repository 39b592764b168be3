"""The stores that others take for «who is nearest»: Redis, Tile38, PostGIS, each as it is shipped.

Each is started here, alone, on a unix socket in a folder of its own, and is ended with this
process, however that ends. Nothing is written to a disk for safety (no append-only file, no
fsync, an unlogged table). They answer who is nearest in a straight line; no more is asked.
"""

import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from math import pi, sqrt
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np

from xiaohe.bench.crowd import Crowd
from xiaohe.bench.servers import (
    START_S,
    PeerUnavailable,
    as_somebody_else,
    client_library,
    last_line,
    postgres_programs,
    stop,
    wait_until,
)
from xiaohe.bound import start_bound
from xiaohe.geo.projection import Projection

LonLat = tuple[float, float]
Move = tuple[str, float, float]
"""Whose position, lon, lat."""

LOAD_BATCH: Final = 5_000
"""Members in one command while a store is filled."""

RADIUS_MEMBERS: Final = 4
"""Redis wants a radius: one that holds four times as many members as are asked for, on average."""


class Peer(ABC):
    """A store of positions behind a socket; a context manager that has it running.

    ``folder`` is all that it keeps, while it runs.
    """

    name: ClassVar[str]
    folder: Path

    def __init__(self, projection: Projection, nearest: int) -> None:
        """``nearest`` is how many are asked for; ``projection`` is the plane of the city."""
        self.projection = projection
        self.count = nearest
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start it. Raises PeerUnavailable, and leaves nothing running."""
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it for certain, and remove its folder."""
        self._open.close()

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def load(self, crowd: Crowd) -> None:
        """Hold these members instead of all others."""

    @abstractmethod
    def nearest(self, at: LonLat) -> list[str]:
        """Give the ids of the nearest, the nearest first."""

    @abstractmethod
    def nearest_of_each(self, places: Sequence[LonLat]) -> None:
        """Ask for the nearest of many places in one go."""

    @abstractmethod
    def ping(self, _: object = None) -> None:
        """Go there and back, with nothing to do."""

    @abstractmethod
    def ping_for_each(self, places: Sequence[object]) -> None:
        """As many empty questions in one go."""

    @abstractmethod
    def move(self, move: Move) -> None:
        """Take one position."""

    @abstractmethod
    def move_all(self, moves: Sequence[Move]) -> None:
        """Take many positions in one go."""

    def _make_folder(self) -> Path:
        name = self._open.enter_context(tempfile.TemporaryDirectory(prefix="xiaohe-bench-"))
        self.folder = Path(name)
        return self.folder

    def _run(self, command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        """Start a server that ends with this process; its output goes to a file of its folder."""
        with (folder / "output.log").open("wb") as output:
            process = start_bound(command, cwd=folder, output=output)
        self._open.callback(stop, process)
        return process


class _Resp(Peer):
    """What Redis and Tile38 share: the protocol, and so the client."""

    program: ClassVar[str]

    _client: Any

    @abstractmethod
    def _arguments(self, folder: Path, socket: Path) -> list[str]: ...

    @abstractmethod
    def _question(self, at: LonLat) -> tuple[object, ...]: ...

    def _start(self) -> None:
        redis = client_library("redis")
        program = shutil.which(self.program)
        if program is None:
            raise PeerUnavailable(f"{self.program} is not installed")
        folder = self._make_folder()
        socket = folder / "socket"
        process = self._run([program, *self._arguments(folder, socket)], folder)
        # Tile38 speaks the older protocol alone; nothing that is asked here needs the newer one.
        client = redis.Redis(unix_socket_path=str(socket), protocol=2)
        self._client = client
        self._open.callback(client.close)
        wait_until(client.ping, redis.RedisError, process, folder)

    def ping(self, _: object = None) -> None:
        """Ask with PING."""
        self._client.execute_command("PING")

    def ping_for_each(self, places: Sequence[object]) -> None:
        """Ask with as many PING in a pipeline."""
        self._pipelined([("PING",)] * len(places))

    def nearest_of_each(self, places: Sequence[LonLat]) -> None:
        """Ask all in a pipeline."""
        self._pipelined([self._question(at) for at in places])

    def _pipelined(self, commands: Sequence[tuple[object, ...]]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        pipeline.execute()


class Redis(_Resp):
    """Redis: GEOADD, and GEOSEARCH within a radius."""

    name = "redis"
    program = "redis-server"

    def _arguments(self, folder: Path, socket: Path) -> list[str]:
        memory_only = ["--save", "", "--appendonly", "no"]
        return ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), *memory_only]

    def load(self, crowd: Crowd) -> None:
        """Fill it, and work out the radius that is asked for."""
        self._client.delete("fleet")
        for moves in _batches(crowd):
            self.move_all(moves)
        metres = self.projection.many_to_m(np.column_stack((crowd.lon, crowd.lat)))
        area_m2 = float(np.ptp(metres, axis=0).prod())
        self._radius_m = sqrt(area_m2 / len(metres) * self.count * RADIUS_MEMBERS / pi)

    def nearest(self, at: LonLat) -> list[str]:
        """Where fewer than wanted are within the radius, one that is twice as wide is asked."""
        found = self._client.execute_command(*self._question(at))
        radius_m = self._radius_m
        while len(found) < self.count and radius_m < 100 * self._radius_m:
            radius_m *= 2
            found = self._client.execute_command(*self._question(at, radius_m))
        return [member_id.decode() for member_id in found]

    def _question(self, at: LonLat, radius_m: float | None = None) -> tuple[object, ...]:
        within_m = self._radius_m if radius_m is None else radius_m
        ring = ("FROMLONLAT", *at, "BYRADIUS", within_m, "m")
        return ("GEOSEARCH", "fleet", *ring, "ASC", "COUNT", self.count)

    def move(self, move: Move) -> None:
        """Take one with GEOADD."""
        member_id, lon, lat = move
        self._client.execute_command("GEOADD", "fleet", lon, lat, member_id)

    def move_all(self, moves: Sequence[Move]) -> None:
        """Take all with one GEOADD."""
        flat = [word for member_id, lon, lat in moves for word in (lon, lat, member_id)]
        self._client.execute_command("GEOADD", "fleet", *flat)


class Tile38(_Resp):
    """Tile38: SET, and NEARBY."""

    name = "tile38"
    program = "tile38-server"

    def _arguments(self, folder: Path, socket: Path) -> list[str]:
        return ["-s", str(socket), "-d", str(folder / "data"), "--appendonly", "no", "-q"]

    def load(self, crowd: Crowd) -> None:
        """Fill it."""
        self._client.execute_command("DROP", "fleet")
        for moves in _batches(crowd):
            self.move_all(moves)

    def nearest(self, at: LonLat) -> list[str]:
        """Ask with NEARBY."""
        _cursor, found = self._client.execute_command(*self._question(at))
        return [member_id.decode() for member_id in found]

    def _question(self, at: LonLat) -> tuple[object, ...]:
        lon, lat = at
        return ("NEARBY", "fleet", "LIMIT", self.count, "IDS", "POINT", lat, lon)

    def move(self, move: Move) -> None:
        """Take one with SET."""
        self._client.execute_command(*self._set(move))

    def move_all(self, moves: Sequence[Move]) -> None:
        """Take all in a pipeline of SET."""
        self._pipelined([self._set(move) for move in moves])

    def _set(self, move: Move) -> tuple[object, ...]:
        member_id, lon, lat = move
        return ("SET", "fleet", member_id, "POINT", lat, lon)


class PostGis(Peer):
    """PostgreSQL with PostGIS: UPDATE, and the nearest by a GiST index, in metres of the plane."""

    name = "postgis"

    SETTINGS: ClassVar = {
        "listen_addresses": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "512MB",
        "max_wal_size": "4GB",
        "jit": "off",
    }
    TABLE: ClassVar = """
        DROP TABLE IF EXISTS fleet;
        CREATE UNLOGGED TABLE fleet (member_id text NOT NULL, at geometry(Point) NOT NULL)
    """
    INDEXES: ClassVar = (
        "ALTER TABLE fleet ADD PRIMARY KEY (member_id)",
        "CREATE INDEX ON fleet USING gist (at)",
        "VACUUM ANALYZE fleet",
    )
    NEAREST: ClassVar = (
        "SELECT member_id FROM fleet "
        "ORDER BY at <-> ST_MakePoint(%s::float8, %s::float8) LIMIT {count}"
    )
    NEAREST_OF_EACH: ClassVar = """
        SELECT wanted.number, near.member_id
        FROM unnest(%s::float8[], %s::float8[]) WITH ORDINALITY AS wanted (x, y, number)
        CROSS JOIN LATERAL (
            SELECT member_id FROM fleet
            ORDER BY at <-> ST_MakePoint(wanted.x, wanted.y) LIMIT {count}
        ) AS near
    """
    MOVE: ClassVar = (
        "UPDATE fleet SET at = ST_MakePoint(%s::float8, %s::float8) WHERE member_id = %s"
    )
    MOVE_ALL: ClassVar = """
        UPDATE fleet SET at = ST_MakePoint(new.x, new.y)
        FROM unnest(%s::text[], %s::float8[], %s::float8[]) AS new (member_id, x, y)
        WHERE fleet.member_id = new.member_id
    """

    _connection: Any

    def _start(self) -> None:
        psycopg = client_library("psycopg")
        programs = postgres_programs()
        folder = self._make_folder()
        become = as_somebody_else(folder)
        data = folder / "data"
        made = subprocess.run(  # noqa: S603 - programs of this machine, no shell
            [*become, programs / "initdb", "-D", data, "-A", "trust", "-U", "bench", "-N"],
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )
        if made.returncode:
            raise PeerUnavailable(f"initdb: {last_line(made.stderr)}")
        settings = [f"-c{name}={value}" for name, value in self.SETTINGS.items()]
        place = ["-D", str(data), "-k", str(folder)]
        process = self._run([*become, str(programs / "postgres"), *place, *settings], folder)
        where = f"host={folder} user=bench dbname=postgres"

        def connect() -> None:
            self._connection = psycopg.connect(where, autocommit=True)

        wait_until(connect, psycopg.OperationalError, process, folder)
        self._open.callback(self._connection.close)
        try:
            self._connection.execute("CREATE EXTENSION postgis")
        except psycopg.Error as fault:
            raise PeerUnavailable(f"PostgreSQL has no PostGIS: {_first_line(fault)}") from fault
        self._cursor = self._connection.cursor(binary=True)
        # Stated in the text: a plan that is made for any number at all would sort the whole table.
        self._nearest = self.NEAREST.format(count=self.count)
        self._nearest_of_each = self.NEAREST_OF_EACH.format(count=self.count)

    def load(self, crowd: Crowd) -> None:
        """Fill the table, then make its indexes, as one does."""
        metres = self.projection.many_to_m(np.column_stack((crowd.lon, crowd.lat))).tolist()
        self._connection.execute(self.TABLE)
        with self._connection.cursor().copy("COPY fleet FROM STDIN") as copy:
            for member_id, (x, y) in zip(crowd.ids, metres, strict=True):
                copy.write_row((member_id, f"POINT({x} {y})"))
        for index in self.INDEXES:
            self._connection.execute(index)

    def nearest(self, at: LonLat) -> list[str]:
        """Ask with a prepared statement."""
        x, y = self.projection.to_m(*at)
        rows = self._cursor.execute(self._nearest, (x, y), prepare=True).fetchall()
        return [member_id for (member_id,) in rows]

    def nearest_of_each(self, places: Sequence[LonLat]) -> None:
        """Ask with one statement, which is a join with the places."""
        metres = self.projection.many_to_m(np.array(places))
        columns = (metres[:, 0].tolist(), metres[:, 1].tolist())
        self._cursor.execute(self._nearest_of_each, columns, prepare=True).fetchall()

    def ping(self, _: object = None) -> None:
        """Ask for SELECT 1."""
        self._cursor.execute("SELECT 1", prepare=True).fetchall()

    def ping_for_each(self, places: Sequence[object]) -> None:
        """Ask for SELECT 1 as often, in a pipeline."""
        with self._connection.pipeline():
            for _ in places:
                self._cursor.execute("SELECT 1", prepare=True)

    def move(self, move: Move) -> None:
        """Take one with UPDATE."""
        member_id, lon, lat = move
        x, y = self.projection.to_m(lon, lat)
        self._cursor.execute(self.MOVE, (x, y, member_id), prepare=True)

    def move_all(self, moves: Sequence[Move]) -> None:
        """Take all with one UPDATE."""
        ids, lon, lat = zip(*moves, strict=True)
        metres = self.projection.many_to_m(np.column_stack((lon, lat)))
        columns = (list(ids), metres[:, 0].tolist(), metres[:, 1].tolist())
        self._cursor.execute(self.MOVE_ALL, columns, prepare=True)


PEERS: Final[tuple[type[Peer], ...]] = (Redis, Tile38, PostGis)


def _batches(crowd: Crowd) -> list[list[Move]]:
    moves = list(zip(crowd.ids, crowd.lon.tolist(), crowd.lat.tolist(), strict=True))
    return [moves[first : first + LOAD_BATCH] for first in range(0, len(moves), LOAD_BATCH)]


def _first_line(fault: Exception) -> str:
    return str(fault).split("\n", 1)[0]
