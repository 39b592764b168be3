"""What may keep an explanation from a person; the message says what to do."""


class ExplainError(Exception):
    """Nothing can be explained."""
