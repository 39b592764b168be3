"""JSON of an incident that is over, in a fifth of its room.

Raw deflate with a dictionary: the text below is what such an incident says anyway, so that of it
little more is left than its ids, places and times. Packed bytes stay in memory and are written
nowhere: the text may be changed whenever what an incident says has changed.
"""

import zlib
from typing import Final

WINDOW_BITS: Final = -13
"""Raw deflate, and how far back it looks: 8 KiB, the dictionary and an incident."""

MEMORY_LEVEL: Final = 5
"""Small tables: they are cleared for each incident, which is most of the time that it takes."""

LEVEL: Final = 6

_WHERE = '{"lon":120.1431193,"lat":30.3200001,"datum":"wgs84"}'

_USUAL: Final = (
    '{"type":"incident","skills":["first_aid"],"forces":["brigade"],"drill":true,"reported_by":"m',
    '"distress_of":"m","origin":{"area_id":"","incident_id":"inc-"},"backup_by_ms":1',
    '"backup_wanted":1,"deadlines":[],"overdue":["acceptance.overdue","arrival.overdue"',
    '"backup.overdue"],"unfilled":["off_duty","busy","too_far","stale_fix","nobody"]',
    '"unfilled_role":"backup","aid_asked":["aid:inc-"],"aid_requests":1,"rung":1',
    '"acknowledged":true,"set_aside":true,"merged_into":"inc-","merged_from":"open"',
    '"state":"cancelled","state":"merged","state":"resolved","tried_from":1,"needed":2',
    '"mode":"emergency","end":"declined","end_reason":"busy","end":"cancelled","end":"lapsed"',
    '"end":"stood_down","end_reason":"enough","offered":false,"asked_on":true',
    '"predicted_late":true,"revived":true,"barred":true,"instead_of":"inc-"',
    '"why":{"rule":"operator","candidates":[],"fix_age_s":null,"roads_version":""',
    '"policy_version":""},"role":"backup","acting":"backup"',
    '{"incident_id":"inc-","area_id":"","alert_id":"","alerts":[""],"source":"police-110"',
    '"category":"dispute","priority":2,"mode":"peacetime","state":"closed"',
    f'"position":{_WHERE},"place":{_WHERE},"road_id":"","off_road_m":0.0',
    '"responsible":{"team":null,"members":[]},"received_ms":17,"accept_by_ms":17',
    '"arrive_by_ms":17,"timeline":{"received_ms":17,"dispatched_ms":17,"accepted_ms":17',
    '"en_route_ms":17,"arrived_ms":17,"resolved_ms":17,"closed_ms":17}',
    '"orders":[{"dispatch_id":"inc-","alert_id":"","member_id":"","role":"primary"',
    '"acting":"primary","state":"ended","end":"completed","ordered_ms":17,"accept_by_ms":17',
    '"arrive_by_ms":17,"eta_s":0.0,"distance_m":0.0,"gap_m":0.0,"accepted_ms":17',
    '"en_route_ms":17,"arrived_ms":17,"ended_ms":17}],"attempts":1,"last_seq":8}',
)

_DICTIONARY: Final = ",".join(_USUAL).encode()


def pack(text: bytes) -> bytes:
    """Give a text packed."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zdict=_DICTIONARY)
    return packer.compress(text) + packer.flush()


def unpack(packed: bytes) -> bytes:
    """Give the text that ``pack`` was given."""
    return zlib.decompressobj(WINDOW_BITS, zdict=_DICTIONARY).decompress(packed)
