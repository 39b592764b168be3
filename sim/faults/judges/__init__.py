"""What judges a run under faults: each promise by rules of its own, from what the run left.

    >>> violations = judge(evidence)

A rule is a function of the ``Reading`` that gives what does not hold, in sentences. They are
listed module by module; nothing registers itself. Judge outside of whatever was planted into the
run (``plants.py``): the judges fold the log with the engine as it should be. S6, who is chosen,
is judged while the run goes on, for it needs the positions of the moment: ``choice.check``.
"""

from collections.abc import Callable, Iterator
from typing import Final

from xiaohe.sim.faults.evidence import Evidence, Violation
from xiaohe.sim.faults.judges import (
    alerts,
    causes,
    folding,
    knowledge,
    liveness,
    orders,
    publishing,
)
from xiaohe.sim.faults.judges.reading import Reading

Rule = Callable[[Reading], Iterator[Violation]]

RULES: Final[tuple[Rule, ...]] = (
    *alerts.RULES,
    *orders.RULES,
    *causes.RULES,
    *publishing.RULES,
    *folding.RULES,
    *knowledge.RULES,
    *liveness.RULES,
)
"""Every rule, theme by theme."""


def judge(evidence: Evidence) -> list[Violation]:
    """Give every promise that was not kept, sorted; empty where all were."""
    reading = Reading(evidence)
    return sorted({found for rule in RULES for found in rule(reading)})
