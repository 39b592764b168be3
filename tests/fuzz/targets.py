"""All that is fuzzed, in the order of a run."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz import audits, devices, files, logs, story, texts, wire
from tests.fuzz.target import Target

ALL: Final = (
    *wire.TARGETS,
    *texts.TARGETS,
    *logs.TARGETS,
    *story.TARGETS,
    *files.TARGETS,
    *audits.TARGETS,
    *devices.TARGETS,
)

BY_NAME: Final[Mapping[str, Target]] = {target.name: target for target in ALL}
