"""Operators who come from an identity provider: OpenID Connect, code flow with PKCE.

What has to be remembered on the way there and back (state, nonce, verifier) lies in the browser's
own cookie, signed, so that any gateway can take the way back. Nothing of the provider is trusted
but an ID token that its published keys have signed for this client and this way.
"""

import asyncio
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import jwt
import msgspec
from msgspec import Struct

from xiaohe.gateway.access.tokens import BadToken, Tokens
from xiaohe.gateway.settings import Oidc

PROVIDER_TIMEOUT_S: Final = 5.0
"""The provider answers in so long, or the login has failed."""

PROVIDER_ANSWER_BYTES_MAX: Final = 256 * 1024
"""Longer answers of the provider are not read: keys and tokens have some KiB."""

KEYS_AGE_S: Final = 3600
"""Its keys are asked for again after so long, and at once where one is not among them."""

KEYS_AGE_S_MIN: Final = 30
"""But not more often than this."""

CLOCK_SKEW_S: Final = 60
"""Between the provider's clock and ours."""


class OidcFailed(Exception):
    """The login did not come about; the message says what to do, and nothing of the answer."""


class Discovered(Struct, frozen=True):
    """What the provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Given(Struct, frozen=True):
    id_token: str


class WayThere(Struct, frozen=True):
    """Where the browser goes, and what it has to keep until it is back."""

    url: str
    memory: str

    def __repr__(self) -> str:
        """Give nothing of either."""
        return "WayThere(…)"


class Abroad:
    """One provider."""

    def __init__(
        self,
        settings: Oidc,
        tokens: Tokens,
        now_ms: Callable[[], int],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._now_ms = now_ms
        self._transport = transport
        self._discovered: Discovered | None = None
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._keys_ms = 0
        self._asking = asyncio.Lock()

    async def way_there(self) -> WayThere:
        """Begin a login. Raises OidcFailed."""
        provider = await self._provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        digest = sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_uri,
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        memory = self._tokens.sign(
            "oidc", self._now_ms(), state=state, nonce=nonce, verifier=verifier
        )
        return WayThere(f"{provider.authorization_endpoint}?{urlencode(asked)}", memory)

    async def subject(self, memory: str, *, state: str, code: str) -> str:
        """Give whom the provider says that it is. Raises OidcFailed."""
        try:
            kept = self._tokens.read("oidc", memory, self._now_ms())
        except BadToken:
            raise OidcFailed("the way back took too long, or began elsewhere: again") from None
        if not code or not hmac.compare_digest(state.encode(), str(kept["state"]).encode()):
            raise OidcFailed("the way back does not belong to the way there: again")
        token = await self._exchanged(code, str(kept["verifier"]))
        claims = await self._held(token)
        if not hmac.compare_digest(str(claims.get("nonce")).encode(), str(kept["nonce"]).encode()):
            raise OidcFailed("the provider's word is for another login: again")
        return str(claims["sub"])

    async def _exchanged(self, code: str, verifier: str) -> str:
        provider = await self._provider()
        settings = self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.redirect_uri,
            "client_id": settings.client_id,
            "code_verifier": verifier,
        }
        authorization = None
        if settings.client_secret_file is not None:
            kept = await asyncio.to_thread(Path(settings.client_secret_file).read_text)
            authorization = httpx.BasicAuth(settings.client_id, kept.strip())
        answer = await self._asked("POST", provider.token_endpoint, form, authorization)
        return _typed(answer, _Given).id_token

    async def _held(self, token: str) -> dict[str, Any]:
        """Hold an ID token to the provider's keys. Raises OidcFailed."""
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(self._settings.algorithms),
                audience=self._settings.client_id,
                issuer=self._settings.issuer,
                options={
                    "require": ["sub", "iat", "exp", "nonce"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            at_s = self._now_ms() / 1000
            if not claims["iat"] - CLOCK_SKEW_S <= at_s < claims["exp"] + CLOCK_SKEW_S:
                raise OidcFailed("the provider's word is not of now")
        except (jwt.PyJWTError, TypeError, ValueError):
            raise OidcFailed("the provider's word does not hold: tell its operator") from None
        # A token for several clients has to say that it was asked for by this one.
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise OidcFailed("the provider's word is for another program")
        return claims

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        age_s = (self._now_ms() - self._keys_ms) / 1000
        if age_s > KEYS_AGE_S or (key_id not in self._keys and age_s > KEYS_AGE_S_MIN):
            provider = await self._provider()
            answer = await self._asked("GET", provider.jwks_uri)
            found = jwt.PyJWKSet.from_json(answer.decode(errors="replace")).keys
            self._keys = {key.key_id: key for key in found}
            self._keys_ms = self._now_ms()
        if key_id not in self._keys:
            raise OidcFailed("the provider has signed with a key that it does not publish")
        return self._keys[key_id]

    async def _provider(self) -> Discovered:
        async with self._asking:
            if self._discovered is None:
                url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = _typed(await self._asked("GET", url), Discovered)
                if found.issuer != self._settings.issuer:
                    raise OidcFailed("the provider calls itself otherwise than data/doors.yaml")
                self._discovered = found
        return self._discovered

    async def _asked(
        self,
        method: str,
        url: str,
        form: dict[str, str] | None = None,
        authorization: httpx.BasicAuth | None = None,
    ) -> bytes:
        try:
            async with (
                asyncio.timeout(PROVIDER_TIMEOUT_S),
                httpx.AsyncClient(transport=self._transport, timeout=PROVIDER_TIMEOUT_S) as client,
                client.stream(method, url, data=form, auth=authorization) as answer,
            ):
                pieces = b""
                async for piece in answer.aiter_bytes():
                    pieces += piece
                    if len(pieces) > PROVIDER_ANSWER_BYTES_MAX:
                        raise OidcFailed("the provider's answer is too long")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            raise OidcFailed("the identity provider does not answer: try again") from None
        if answer.status_code != httpx.codes.OK:
            raise OidcFailed("the identity provider refused: try again")
        return pieces


def _typed(answer: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - of that kind
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError:
        raise OidcFailed("the identity provider answers something else than OpenID") from None
