"""One target under the coverage-guided fuzzer, in a process of its own; see ``tests.fuzz``.

``python -m tests.fuzz.guided TARGET WORK_DIR SECONDS SEED``. The corpus is kept in WORK_DIR, and
how many inputs were executed and accepted is counted there as they are: a process that dies over
an input leaves a true count behind.
"""

import sys
from pathlib import Path
from random import Random
from typing import Final

import atheris

from tests.fuzz.counts import Counts, quiet
from tests.fuzz.target import Target

ROOT: Final = Path(__file__).parents[2]

BYTE_LEVEL_SHARE: Final = 0.25
"""Of the mutations, those that are the fuzzer's own; the others know what the bytes mean."""

RSS_MB_MAX: Final = 2048
INPUT_S_MAX: Final = 20
"""An input that takes longer is a finding: a reader of outside bytes must not stand still."""


def compiled_modules() -> list[str]:
    """Give the modules whose functions Numba compiles: it cannot read instrumented ones."""
    sources = sorted((ROOT / "geo").glob("*.py"))
    return [
        f"xiaohe.geo.{path.stem}"
        for path in sources
        if path.stem == "kernels" or "xiaohe.geo.kernels" in path.read_text()
    ]


def instrumented(name: str) -> Target:
    """Import a target with the program's own modules instrumented."""
    with atheris.instrument_imports(include=["xiaohe"], exclude=compiled_modules()):
        from tests.fuzz.targets import BY_NAME  # noqa: PLC0415 - the hook must stand before it
    target = BY_NAME[name]
    for sample in target.seeds:  # what is compiled at first use is no time of an input's
        target.run(sample)
    return target


def main(name: str, work_dir: str, seconds: str, seed: str) -> None:
    """Fuzz until the time is over or an input is a finding; does not return."""
    quiet()
    target = instrumented(name)
    work = Path(work_dir)
    corpus = work / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(sample)
    counts = Counts(work / "counts")

    def one_input(data: bytes) -> None:
        counts.take(target.run, data)

    def mutated(data: bytes, bytes_max: int, chance: int) -> bytes:
        rng = Random(chance)
        if rng.random() >= BYTE_LEVEL_SHARE:
            found = target.mutate(data, rng)
            if len(found) <= bytes_max:
                return found
        changed: bytes = atheris.Mutate(data, bytes_max)
        return changed

    flags = [
        *(f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={target.bytes_max}"),
        *("-len_control=0", "-print_final_stats=1", f"-rss_limit_mb={RSS_MB_MAX}"),
        *(f"-timeout={INPUT_S_MAX}", f"-artifact_prefix={work}/"),
    ]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], one_input, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
