"""A small OpenID provider, as an application of its own: real keys, real signatures, real PKCE."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ISSUER = "https://id.example.org"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """The provider; ``spoil`` changes what it claims, ``key`` signs it."""

    now_s: int
    client_id: str = "xiaohe"
    subject: str = "lin-at-the-street"
    key: Any = KEY
    algorithm: str = "RS256"
    spoil: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    issuer: str = ISSUER

    def application(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.configuration),
                Route("/keys", self.keys),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    def consent(self, url: str) -> dict[str, str]:
        """Somebody logs in there; give what the browser is sent back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return {"code": code, "state": asked["state"]}

    async def configuration(self, _: Request) -> Response:
        """What the provider says of itself."""
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
            }
        )

    async def keys(self, _: Request) -> Response:
        """Its public key."""
        key = json.loads(RSAAlgorithm.to_jwk(KEY.public_key()))
        return JSONResponse({"keys": [key | {"kid": "k1", "use": "sig", "alg": "RS256"}]})

    async def token(self, request: Request) -> Response:
        """An ID token for a code, once, and for who has the verifier."""
        form = parse_qs((await request.body()).decode())
        asked = self.asked.pop(form["code"][0], None)
        verifier = form.get("code_verifier", [""])[0]
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != form["redirect_uri"][0]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = {
            "iss": ISSUER, "aud": self.client_id, "sub": self.subject, "nonce": asked["nonce"],
            "iat": self.now_s, "exp": self.now_s + 300,
        } | self.spoil  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode(claims, self.key, self.algorithm, headers={"kid": "k1"})
        return JSONResponse({"id_token": token, "access_token": "x", "token_type": "Bearer"})
