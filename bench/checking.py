"""Choices held against the oracle: the same people in the same order, the same seconds."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from xiaohe.bench.crowd import Crowd
from xiaohe.bench.oracle import Oracle
from xiaohe.dispatch.choice import ETA_DECIMALS, Chosen, Nobody
from xiaohe.geo.live import LivePositions
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES, Mode
from xiaohe.geo.snap import Site

ROUNDED_S = 0.5 * 10**-ETA_DECIMALS + 1e-6
"""How far a published ETA may be from the true one."""

Told = tuple[str, float]
"""Who, and in how many seconds."""


class Answer(NamedTuple):
    """Who was chosen for a site, and the eligible candidates that the choice told of."""

    site: Site
    chosen: Told | None
    eligible: tuple[Told, ...]

    @classmethod
    def of(cls, site: Site, found: Chosen | Nobody) -> Self:
        """Read a choice."""
        if isinstance(found, Nobody) or found.eta_s is None:
            return cls(site, None, ())
        told = tuple(
            (candidate.member_id, candidate.eta_s)
            for candidate in found.why.candidates
            if candidate.excluded is None and candidate.eta_s is not None
        )
        return cls(site, (found.member_id, found.eta_s), told)


def mismatches(
    network: Network, crowd: Crowd, live: LivePositions, answers: Sequence[Answer], count: int
) -> list[tuple[Answer, list[Told]]]:
    """Give the answers that are not the oracle's, each with what the oracle says.

    ``count`` is how many eligible members a choice looks at. The first must be who was chosen,
    all that are told must be the nearest, in their order.
    """
    if not answers:
        return []
    nearest: list[list[Told]] = [[] for _ in answers]
    for number, mode in enumerate(MODES):
        eligible = np.flatnonzero(crowd.eligible & (crowd.mode == number)).tolist()
        of_mode = _nearest_by_mode(network, mode, [crowd.ids[n] for n in eligible], live, answers)
        for found, more in zip(nearest, of_mode, strict=True):
            found.extend(more)
    ordered = [sorted(found, key=lambda told: (told[1], told[0])) for found in nearest]
    return [
        (answer, expected)
        for answer, expected in zip(answers, ordered, strict=True)
        if not _agrees(answer, expected[:count])
    ]


def _agrees(answer: Answer, expected: list[Told]) -> bool:
    if answer.chosen is None:
        return not expected
    told = answer.eligible
    if not told or told[0] != answer.chosen or len(told) > len(expected):
        return False
    return all(
        mine[0] == theirs[0] and abs(mine[1] - theirs[1]) <= ROUNDED_S
        for mine, theirs in zip(told, expected, strict=False)
    )


def _nearest_by_mode(
    network: Network, mode: Mode, ids: list[str], live: LivePositions, answers: Sequence[Answer]
) -> list[list[Told]]:
    """Give for each answer's site the nearest members of one mode."""
    spots = {}
    for member_id in ids:
        track = live.track(member_id)
        if track is not None and track.spot is not None:
            spots[member_id] = network.usable(track.spot, mode)
    placed = [(member_id, spot) for member_id, spot in spots.items() if spot is not None]
    edges = np.array([spot.edge for _, spot in placed], dtype=np.int64)
    fracs = np.array([spot.frac for _, spot in placed])
    oracle = Oracle(network, mode)
    sites = [network.usable(answer.site.spot, mode) for answer in answers]
    found: list[list[Told]] = [[] for _ in answers]
    at_once = oracle.sites_at_once
    wanted = [(number, site) for number, site in enumerate(sites) if site is not None]
    for first in range(0, len(wanted), at_once):
        part = wanted[first : first + at_once]
        times_s = oracle.to_sites([site for _, site in part])
        for (number, site), to_site_s in zip(part, times_s, strict=True):
            near = oracle.nearest(site, to_site_s, edges, fracs, NEAREST_OF_A_MODE)
            found[number] = [(placed[index][0], seconds) for index, seconds in near]
    return found


NEAREST_OF_A_MODE = 20
"""As many as an order's ``why`` has room for."""
