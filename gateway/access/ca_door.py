"""The certificate of the authority that vouches for this gateway, for phones to be told of it."""

from typing import Final

from xiaohe.gateway.door import Answer, Door, Refusal, Reply, Visit
from xiaohe.gateway.parts import Parts

MEDIA_TYPE: Final = "application/x-x509-ca-cert"
"""By which phones know what to do with it."""


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the one door; it needs no name, for the certificate is there to be handed out."""

    async def authority(_: Visit) -> Reply:
        if parts.authority is None:
            raise Refusal(404, "no_authority", "this gateway has no authority of its own")
        headers = {"content-disposition": 'attachment; filename="xiaohe-ca.pem"'}
        return Reply(body=parts.authority, media_type=MEDIA_TYPE, headers=headers)

    return (
        Door(
            method="GET", path="/ca.pem", name="authority", room="access",
            what="The certificate of the gateway's own authority, where it has one.",
            change=None, handle=authority,
            answers=(
                Answer(status=200, what="The certificate (PEM).", media_type=MEDIA_TYPE),
                Answer(status=404, what="There is none."),
            ),
        ),
    )  # fmt: skip
