"""``xiaohe asyncapi``: the contract's messages as a document, and as files of JSON Schema."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import orjson
import yaml
from cyclopts import Parameter

from xiaohe.commands.options import Json
from xiaohe.output import note, say_json
from xiaohe.topics import load_topics
from xiaohe.whole_file import write_whole


def asyncapi(
    *, json: Json = False, schemas: Annotated[Path | None, Parameter(name="--schemas")] = None
) -> int:
    """Print the AsyncAPI 3 document of every topic and message, as YAML unless ``--json``.

    Parameters
    ----------
    schemas
        Write the JSON Schema of each message into this folder instead.
    """
    from xiaohe.gateway import asyncapi as made  # noqa: PLC0415 - with the command only

    topics = load_topics()
    if schemas is not None:
        return _write(schemas, made.schema_files(topics))
    document = made.asyncapi(topics)
    if json:
        say_json(document)
    else:
        yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)
    return 0


def _write(folder: Path, files: Mapping[str, object]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in files.items():
        write_whole(folder / name, orjson.dumps(schema, option=orjson.OPT_INDENT_2) + b"\n")
    note(f"{len(files)} schemas in {folder}")
    return 0
