"""Who is known: the topic ``access`` as it was last read, kept in memory."""

import asyncio
from collections.abc import Iterator, Mapping
from hashlib import sha256

import structlog
from aiokafka import ConsumerRecord

from xiaohe.gateway.access.records import (
    TOKENS_KEY,
    Account,
    BadEntry,
    Entry,
    Referral,
    Session,
    Setting,
    Used,
    decode,
    key_of,
)
from xiaohe.gateway.access.secret import Secret

log = structlog.get_logger()


class Directory:
    """Accounts, sessions and what goes with them; it follows the topic.

    The topic has one partition, so its order is the same for all gateways: of two that use one
    link or refresh one session at the same moment, the record that lies first has it.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._reached = 0
        self._moved = asyncio.Event()
        self._accounts: dict[str, Account] = {}
        self._by_key: dict[str, str] = {}
        self._by_subject: dict[str, str] = {}
        self._sessions: dict[str, Session] = {}
        self._used: dict[str, Used] = {}
        self._referrals: dict[tuple[str, str], Referral] = {}
        self.tokens = Setting()

    # --- the topic's side

    def take(self, record: ConsumerRecord) -> None:
        """Take one record; one that was not written with the secret is told to the log."""
        try:
            key, entry = decode(self._secret, record.key, record.value, record.headers)
        except BadEntry as bad:
            log.warning("access_record_refused", why=str(bad), offset=record.offset)
        else:
            self.put(key, entry)
        self._reached = record.offset + 1
        self._moved.set()
        self._moved = asyncio.Event()

    async def read_to(self, offset: int) -> None:
        """Return when the record of this offset has been taken."""
        while self._reached <= offset:
            await self._moved.wait()

    def put(self, key: str, entry: Entry | None) -> None:
        """Let an entry count from now on."""
        kind, _, name = key.partition(":")
        match entry:
            case Account():
                self._forget_account(key)
                self._accounts[key] = entry
                self._by_key.update(dict.fromkeys(entry.keys, key))
                if entry.oidc_subject is not None:
                    self._by_subject[entry.oidc_subject] = key
            case Session():
                self._put_session(name, entry)
            case Used():
                self._used.setdefault(name, entry)
            case Referral():
                self._referrals[entry.department_id, entry.about_id] = entry
            case Setting():
                self.tokens = entry if key == TOKENS_KEY else self.tokens
            case None if kind == "session":
                self._sessions.pop(name, None)
            case None if kind == "referral":
                self._forget_referral(key)
            case None:
                self._forget_account(key)

    def _put_session(self, session_id: str, entry: Session) -> None:
        known = self._sessions.get(session_id)
        if known is None or entry.ended or (not known.ended and entry.turns == known.turns + 1):
            self._sessions[session_id] = entry

    def _forget_account(self, key: str) -> None:
        gone = self._accounts.pop(key, None)
        if gone is not None:
            for digest in gone.keys:
                self._by_key.pop(digest, None)
            if gone.oidc_subject is not None:
                self._by_subject.pop(gone.oidc_subject, None)

    def _forget_referral(self, key: str) -> None:
        gone = [pair for pair in self._referrals if referral_key(*pair) == key]
        for pair in gone:
            del self._referrals[pair]

    # --- the doors' side

    def account(self, key: str) -> Account | None:
        """Give an account by its key, or None."""
        return self._accounts.get(key)

    def accounts(self) -> Mapping[str, Account]:
        """Give all accounts by key, in order."""
        return dict(sorted(self._accounts.items()))

    def with_key(self, key: str) -> tuple[str, Account] | None:
        """Give the service that has this key, which is looked up by its digest."""
        found = self._by_key.get(digest_of(key))
        return None if found is None else (found, self._accounts[found])

    def with_subject(self, subject: str) -> tuple[str, Account] | None:
        """Give the operator whom the identity provider calls so."""
        found = self._by_subject.get(subject)
        return None if found is None else (found, self._accounts[found])

    def session(self, session_id: str, now_ms: int) -> tuple[Session, Account] | None:
        """Give a session that still counts, and whose it is."""
        session = self._sessions.get(session_id)
        if session is None or session.ended or session.expires_ms <= now_ms:
            return None
        account = self._accounts.get(session.account)
        if account is None or session.started_ms < account.valid_from_ms:
            return None
        return session, account

    def use_of(self, link_id: str) -> Used | None:
        """Give who used a link, or None."""
        return self._used.get(link_id)

    def referral(self, department_id: str, about_id: str, now_ms: int) -> Referral | None:
        """Give what was referred to a department, while it counts."""
        found = self._referrals.get((department_id, about_id))
        return found if found is not None and found.expires_ms > now_ms else None

    def outlived(self, now_ms: int) -> Iterator[str]:
        """Give the keys of what counts no more by its age, for the topic to forget."""
        for session_id, session in self._sessions.items():
            if session.expires_ms <= now_ms:
                yield key_of("session", session_id)
        for link_id, used in self._used.items():
            if used.expires_ms <= now_ms:
                yield key_of("used", link_id)
        for pair, referral in self._referrals.items():
            if referral.expires_ms <= now_ms:
                yield referral_key(*pair)

    def forget(self, key: str) -> None:
        """Let go of what ``outlived`` gave."""
        kind, _, name = key.partition(":")
        if kind == "used":
            self._used.pop(name, None)
        else:
            self.put(key, None)


def referral_key(department_id: str, about_id: str) -> str:
    """Give the key of a referral."""
    return key_of("referral", f"{department_id}/{about_id}")


def digest_of(key: str) -> str:
    """Give that of a service's key which is kept: 256 random bits need no slow hash."""
    return sha256(key.encode()).hexdigest()
