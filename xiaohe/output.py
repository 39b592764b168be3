"""What the program prints: for people, for programs (``--json``), and on the side (stderr)."""

import sys

import orjson


def say(text: str) -> None:
    """Print a line for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(value: object) -> None:
    """Print one JSON object on a line of its own."""
    sys.stdout.buffer.write(orjson.dumps(value, default=str) + b"\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Tell on stderr what goes on, or what is wrong."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
