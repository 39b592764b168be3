"""What a person can mend when a replay cannot be made; the message says how."""


class ReplayError(Exception):
    """The topics cannot be read, or do not hold what is needed to fold them."""


class RecordingError(ReplayError):
    """A recording cannot be read or written."""
