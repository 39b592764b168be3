"""Why an input could not be taken: the one closed list of codes in the ``dead-letters`` topic.

A code is stable: senders' programs may act on it. Its sentence says in general what is wrong and
what to do; the ``detail`` of a dead letter names the field. Codes are in three groups: the record
cannot be read, a field is not as the contract says, and the input does not fit what is known.
"""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A reason code; equal to its text, with ``sentence`` for people."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Self:
        """Make a member that is its code and carries its sentence."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    # The record cannot be read.
    NULL_VALUE = "null_value", "The record has no value: send one JSON object."
    OVERSIZE = "oversize", "The value, or a text in it, is longer than the contract allows."
    NOT_UTF8 = "not_utf8", "The value is not UTF-8: encode the JSON text as UTF-8."
    NOT_JSON = "not_json", "The value is not JSON: send one JSON object a record."
    NOT_XML = "not_xml", "The value is not XML that is read here: no document type, no entities."
    NOT_CSV = "not_csv", "The value is not a table with a line of column names and rows that fit."
    TOO_DEEP = "too_deep", "The value nests objects or lists deeper than is read."
    BAD_CLOUDEVENT = "bad_cloudevent", "The CloudEvents envelope holds no JSON object as its data."
    TRACCAR_SHAPE = (
        "traccar_shape",
        "This is Traccar's own format: forward it to raw.traccar, where the gateway reads it.",
    )
    NULL_KEY = "null_key", "The record has no key: use the area_id as the key."
    KEY_MISMATCH = "key_mismatch", "The record's key and the value name different things."

    # A field is not as the contract says.
    MISSING_FIELD = "missing_field", "A required field is missing or null."
    WRONG_TYPE = "wrong_type", "A field, or the value itself, is of another JSON type."
    NOT_FINITE = "not_finite", "A number is NaN, infinite or too large for a float."
    OUT_OF_RANGE = "out_of_range", "A number lies outside the range of its field."
    EMPTY_TEXT = "empty_text", "A text that must say something is empty."
    UNKNOWN_VALUE = "unknown_value", "A field has a value that is not among those of the contract."
    BAD_IDENTIFIER = (
        "bad_identifier",
        "An identifier is not 1 to 64 of A-Z a-z 0-9 . _ : - beginning with a letter or digit.",
    )
    BAD_TIME = "bad_time", "A time is not RFC 3339 with an offset, or not a plausible date."
    BAD_SHIFT = "bad_shift", "A shift of a roster entry cannot be understood."
    NO_PLACE = "no_place", "An alert needs at least one of position, road_id and address."
    EMPTY_BATCH = "empty_batch", "The batch of positions is empty."
    BATCH_TOO_LONG = "batch_too_long", "The batch has more positions than a record may have."
    MIXED_AREA = "mixed_area", "An object of the batch is of another area than its record."
    UNKNOWN_ACTION = "unknown_action", "The action is not among those of the contract."
    ACTION_NEEDS_FIELD = "action_needs_field", "The action needs a field that is not there."

    # The input does not fit what is known.
    UNKNOWN_AREA = "unknown_area", "The area is in neither policy, roads file nor roster."
    UNKNOWN_MEMBER = "unknown_member", "No roster entry has this member_id."
    UNKNOWN_DEVICE = "unknown_device", "No roster entry claims this device_id."
    UNKNOWN_ORDER = "unknown_order", "No order of this area has this dispatch_id."
    UNKNOWN_INCIDENT = "unknown_incident", "No incident of this area has this incident_id."
    UNKNOWN_MATTER = "unknown_matter", "No matter of this area has this matter_id."
    UNKNOWN_ROAD = "unknown_road", "The roads file has no such road_id in this area."
    WRONG_AREA = "wrong_area", "What is named belongs to another area than the record's key."
    NOT_YOURS = "not_yours", "The order is another member's."
    ORDER_ENDED = "order_ended", "The order had already ended."
    NOT_POSSIBLE = "not_possible", "The action does not fit the state that its object is in."
    NOT_SUPPORTED = "not_supported", "The contract has this, but this engine does not do it yet."
    FAILED_REPEATEDLY = (
        "failed_repeatedly",
        "The engine failed on this input several times and set it aside for a person to look at.",
    )
