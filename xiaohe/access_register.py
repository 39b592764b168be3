"""Who may come in, as the program changes it from the command line: on the topic, and audited."""

import contextlib
import getpass
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec

from xiaohe.gateway.access.audit import Audit
from xiaohe.gateway.access.devices import device_key
from xiaohe.gateway.access.directory import Directory, digest_of
from xiaohe.gateway.access.keeper import SERVICE_KEY
from xiaohe.gateway.access.passwords import Hashes
from xiaohe.gateway.access.records import TOKENS_KEY, Account, Setting
from xiaohe.gateway.access.secret import Secret
from xiaohe.gateway.access.sessions import Sessions
from xiaohe.gateway.access.tokens import Tokens
from xiaohe.gateway.follower import Follower
from xiaohe.gateway.publisher import Publisher
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster

PIN_DIGITS: Final = 6
"""Of a PIN that is made here, by chance."""

KEYS_MAX: Final = 4
"""A service has so many keys at most: the one in use, the next, and two forgotten ones."""


class RegisterError(Exception):
    """What was asked for cannot be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Register:
    """The accounts, as they are and as they are to be."""

    secret: Secret
    directory: Directory
    sessions: Sessions
    audit: Audit

    def get(self, key: str) -> Account:
        """Give an account. Raises RegisterError."""
        found = self.directory.account(key)
        if found is None:
            known = ", ".join(self.directory.accounts()) or "nobody"
            raise RegisterError(f"there is no {key}: `xiaohe access add` makes one; known: {known}")
        return found

    async def put(self, key: str, account: Account | None, did: str) -> None:
        """Let an account be so from now on, or not at all. Raises NotPublished."""
        await self.sessions.store(key, account)
        await self._told(key, did)

    async def _told(self, key: str, did: str) -> None:
        who = f"console:{getpass.getuser()}"
        await self.audit.happened("access", who, reason=did, about={"account": key})

    async def new_key(self, key: str, *, alone: bool) -> str:
        """Give a service another key, beside its others or ``alone``."""
        account = self.get(key)
        if account.role != "service":
            raise RegisterError(f"{key} is no service: only services have keys of this kind")
        made = f"{SERVICE_KEY}{secrets.token_urlsafe(32)}"
        kept = () if alone else account.keys[-(KEYS_MAX - 1) :]
        changed = msgspec.structs.replace(account, keys=(*kept, digest_of(made)))
        await self.put(key, changed, "key")
        return made

    async def device_key(self, key: str, *, renew: bool, overlap_s: float) -> str:
        """Give a device's key in hex; ``renew``: its next one."""
        account = self.get(key)
        if account.role != "device":
            raise RegisterError(f"{key} is no device")
        if renew:
            account = msgspec.structs.replace(
                account,
                generation=account.generation + 1,
                previous_until_ms=now_ms() + int(overlap_s * 1000),
            )
            await self.put(key, account, "key")
        else:
            await self._told(key, "key shown")
        return device_key(self.secret, key.partition(":")[2], account.generation).hex()

    async def new_pin(self, key: str, hashes: Hashes) -> str:
        """Give a member another PIN, by chance."""
        account = self.get(key)
        if not key.startswith("member:"):
            raise RegisterError(f"{key} is no member: operators have passwords")
        pin = f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}}"
        changed = msgspec.structs.replace(account, pin=hashes.make(pin))
        await self.put(key, changed, "pin")
        return pin

    async def new_password(self, key: str, password: str, hashes: Hashes) -> None:
        """Give an operator another password."""
        account = self.get(key)
        if not key.startswith("operator:"):
            raise RegisterError(f"{key} is no operator: members have PINs")
        changed = msgspec.structs.replace(account, password=hashes.make(password))
        await self.put(key, changed, "password")

    async def end_sessions(self, key: str) -> None:
        """Let no session and no link from before count any more."""
        changed = msgspec.structs.replace(self.get(key), valid_from_ms=now_ms())
        await self.put(key, changed, "sessions ended")

    async def link(self, key: str) -> str:
        """Sign a login link's token."""
        account = self.get(key)
        if account.role in {"service", "device"}:
            raise RegisterError(f"{key} does not log in: give it a key")
        await self._told(key, "link")
        return self.sessions.link(key)

    async def rotate(self) -> int:
        """Let another generation of keys sign the tokens; give its number."""
        setting = Setting(
            token_generation=self.directory.tokens.token_generation + 1, rotated_ms=now_ms()
        )
        await self.sessions.store(TOKENS_KEY, setting)
        await self._told(TOKENS_KEY, "rotated")
        return setting.token_generation


@contextlib.asynccontextmanager
async def opened(cluster: Cluster, topics: Topics, secret: Secret) -> AsyncIterator[Register]:
    """Read the register whole, and write what is changed. Raises NotPublished, NotCaughtUp."""
    directory = Directory(secret)
    publisher = Publisher(cluster)
    async with (
        publisher,
        Audit(topics.audit, publisher.note, now_ms) as audit,
        Follower(cluster, topics.access.name, directory.take),
    ):
        sessions = Sessions(
            topic=topics.access, secret=secret, directory=directory,
            tokens=Tokens(secret, lambda: directory.tokens), publisher=publisher, audit=audit,
            now_ms=now_ms,
        )  # fmt: skip
        yield Register(secret, directory, sessions, audit)


def now_ms() -> int:
    """Give the time, ms since the epoch."""
    return time.time_ns() // 1_000_000
