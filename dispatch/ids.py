"""Identifiers that follow from what they name, so that a replay gives the same again."""

import re
from hashlib import sha256

from xiaohe.dispatch.times import rfc3339

_PLAIN = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)

ID_HASH_HEX_DIGITS = 20
"""Digits of the hash in an incident_id: 80 bits, no collision among any number of alerts a city
has, and short enough that ``aid:<incident_id>:<n>`` stays an identifier of 64 characters."""


def incident_id_of(area_id: str, alert_id: str) -> str:
    """Give the incident that this alert opens in this area."""
    digest = sha256(f"{area_id}\x00{alert_id}".encode()).hexdigest()
    return f"inc-{digest[:ID_HASH_HEX_DIGITS]}"


def dispatch_id_of(incident_id: str, attempt: int) -> str:
    """Give the order of this attempt (1, 2, 3 …) in this incident."""
    return f"{incident_id}-{attempt}"


def incident_id_of_order(dispatch_id: str) -> str:
    """Give the incident that an order of this id would belong to."""
    return dispatch_id.rpartition("-")[0]


def aid_alert_id_of(incident_id: str, n: int) -> str:
    """Give the alert that asks the n-th neighbour for mutual aid."""
    return f"aid:{incident_id}:{n}"


def alarm_alert_id_of(member_id: str, fix_time: str, fix_ms: int) -> str:
    """Give the alert that a member's own alarm makes.

    The time is as the sender wrote it where an identifier can hold that (``+08:00`` it cannot),
    else the same moment in UTC.
    """
    if _PLAIN.fullmatch(fix_time) is None:
        fix_time = rfc3339(fix_ms)
    return f"alarm:{member_id}:{fix_time}"
