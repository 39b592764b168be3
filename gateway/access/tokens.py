"""Short-lived signed tokens (JWT, HS256), a key of its own for each use and generation.

HS256 and not a pair of keys: only gateways read these tokens, and they all have the secret. The
keys are derived from it, so that they can be rotated (``xiaohe access rotate``) by counting up:
the new generation signs, the one before is read until its longest token has run out.
"""

import secrets
from collections.abc import Callable
from typing import Any, Final, Literal

import jwt

from xiaohe.gateway.access.records import Setting
from xiaohe.gateway.access.secret import Secret

ISSUER: Final = "xiaohe"
ALGORITHM: Final = "HS256"

Use = Literal["access", "refresh", "link", "referral", "oidc"]
"""What a token is for, its audience; none counts as another."""

LIFETIMES_S: Final[dict[Use, int]] = {
    "access": 15 * 60,
    "refresh": 12 * 3600,
    "link": 15 * 60,
    "referral": 7 * 86_400,
    "oidc": 10 * 60,
}
"""How long each counts: an access token a quarter of an hour; a refresh token a shift, with each
use a new one; a login link a quarter of an hour; a referral's link a week; the way to the identity
provider and back ten minutes."""

TOKEN_CHARACTERS_MAX: Final = 2_048
"""Longer ones are not looked at: ours have some 400."""

CLOCK_SKEW_S: Final = 5
"""Between the clocks of several gateways."""


class BadToken(Exception):
    """A token that does not count; the message says why, never what it holds."""


class Tokens:
    """Signs and reads tokens. ``setting`` gives which generation of keys signs now."""

    def __init__(self, secret: Secret, setting: Callable[[], Setting]) -> None:
        self._secret = secret
        self._setting = setting

    def sign(self, use: Use, now_ms: int, lifetime_s: int | None = None, **claims: object) -> str:
        """Give a token for this use that counts from now for its lifetime."""
        generation = self._setting().token_generation
        at_s = now_ms // 1000
        whole = {
            "jti": secrets.token_urlsafe(16),
            **claims,
            "iss": ISSUER,
            "aud": use,
            "iat": at_s,
            "exp": at_s + (lifetime_s or LIFETIMES_S[use]),
        }
        headers = {"kid": str(generation)}
        return jwt.encode(whole, self._key(use, generation), ALGORITHM, headers=headers)

    def read(self, use: Use, token: str, now_ms: int) -> dict[str, Any]:
        """Give what a token claims, if it was signed here for this use and counts now.

        Raises BadToken.
        """
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise BadToken("it is too long to be one of ours")
        try:
            generation = self._generation(jwt.get_unverified_header(token), use, now_ms)
            claims = jwt.decode(
                token,
                self._key(use, generation),
                algorithms=[ALGORITHM],
                audience=use,
                issuer=ISSUER,
                # Times are held to the gateway's own clock, below.
                options={
                    "require": ["jti", "iat", "exp"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            at_s = now_ms / 1000
            if not claims["iat"] - CLOCK_SKEW_S <= at_s < claims["exp"]:
                raise BadToken("its time is over, or has not come")
        except (jwt.InvalidTokenError, TypeError, ValueError):
            raise BadToken("it was not signed here for this") from None
        return claims

    def _generation(self, header: dict[str, Any], use: Use, now_ms: int) -> int:
        """Give the generation that a head names, if it is read still."""
        setting = self._setting()
        named = header.get("kid")
        if named == str(setting.token_generation):
            return setting.token_generation
        still_read_ms = setting.rotated_ms + LIFETIMES_S[use] * 1000
        if named == str(setting.token_generation - 1) and now_ms < still_read_ms:
            return setting.token_generation - 1
        raise BadToken("it was signed with a key that is gone")

    def _key(self, use: Use, generation: int) -> bytes:
        return self._secret.derive("token", use, str(generation))
