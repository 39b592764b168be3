"""S6: is whoever was chosen the best by the contract's order? Worked out anew, the slow way.

    >>> violations = check(state_before, world, received, decision)

Every choice of a decision is made again: who may be sent is read from the incidents themselves,
every travel time is found by Dijkstra's algorithm over the whole graph. Nothing of
``dispatch/ranking``, ``dispatch/eligibility`` or ``geo/search`` is used. ``world.live`` must be as
it was when the decision was made, so the check is called right behind it.

Choices that several incidents made together, and those of a desk, follow other orders: of them
it is only asked whether the member may be sent at all.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from math import inf
from typing import Final, NamedTuple

import networkx as nx

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.evolve import Stamp, evolve
from xiaohe.dispatch.inputs import Received
from xiaohe.dispatch.policy import Rules
from xiaohe.dispatch.roster import Member
from xiaohe.dispatch.state import AreaState, Incident, Order
from xiaohe.dispatch.world import World
from xiaohe.geo.geometry import Spot
from xiaohe.geo.modes import directions, may_use, speed_mps
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode
from xiaohe.sim.faults.evidence import Violation

SAME_S: Final = 0.06
"""Seconds by which two ways are equally long: what is recorded is rounded to 0.1 s."""

LEAVING, OPEN, ARRIVING = 0, 1, 2
"""Layers of the graph: along the closed road one stands on, the open roads, along the site's."""

Ordered = f.MemberDispatched | f.BackupDispatched


class Fit(NamedTuple):
    """Somebody who may be sent: the rank of the rule by which, and how long the way takes."""

    rank: int
    time_s: float
    member_id: str


def check(
    state_before: AreaState, world: World, received: Received, decision: Decision
) -> list[Violation]:
    """Make every choice of a decision again; give those that come out otherwise."""
    stamp = Stamp(decision.at_ms, received.received_ms)
    state, found = state_before, []
    for fact in decision.facts:
        if isinstance(fact, Ordered):
            found += list(_order(state, world, fact, decision.at_ms))
        elif isinstance(fact, f.IncidentUnfilled):
            found += list(_unfilled(state, world, fact, decision.at_ms))
        state = evolve(state, fact, stamp)
    return found


def _order(state: AreaState, world: World, fact: Ordered, at_ms: int) -> Iterator[Violation]:
    if fact.why.rule == f.OPERATOR_RULE:
        return
    incident = state.incidents[fact.incident_id]
    freed = _freed(incident, fact.why.instead_of)
    fit = sorted(_fit(state, world, incident, at_ms, freed))
    mine = next((each for each in fit if each.member_id == fact.member_id), None)
    where = f"{fact.dispatch_id} for {incident.incident_id}"
    if mine is None:
        yield Violation("S6", f"{where}: {fact.member_id} may not be sent, or has no way", at_ms)
        return
    if fact.eta_s is not None and abs(fact.eta_s - mine.time_s) > SAME_S:
        told = f"{fact.member_id} takes {mine.time_s:.1f} s, and {fact.eta_s} s are told"
        yield Violation("S6", f"{where}: {told}", at_ms)
    best = fit[0]
    worse = best.rank < mine.rank or best.time_s < mine.time_s - SAME_S
    if worse and not fact.why.together and not _hangs_on_a_breath(best, incident, at_ms):
        told = (
            f"{fact.member_id} goes ({_told(mine)}), and {best.member_id} ({_told(best)}) is first"
        )
        yield Violation("S6", f"{where}: {told}", at_ms)


def _unfilled(
    state: AreaState, world: World, fact: f.IncidentUnfilled, at_ms: int
) -> Iterator[Violation]:
    incident = state.incidents[fact.incident_id]
    if incident.place is not None:
        for best in sorted(_fit(state, world, incident, at_ms, frozenset()))[:1]:
            told = f"nobody can go ({', '.join(fact.reasons)}), and {best.member_id} can"
            yield Violation("S6", f"{incident.incident_id}: {told}: {_told(best)}", at_ms)


def _freed(incident: Incident, dispatch_id: str | None) -> frozenset[str]:
    """Whoever is to be replaced is looked at as well: they may still be the best."""
    order = None if dispatch_id is None else incident.order(dispatch_id)
    return frozenset() if order is None else frozenset({order.member_id})


def _hangs_on_a_breath(best: Fit, incident: Incident, at_ms: int) -> bool:
    """Tell whether a rounding decides that the best is in time at all."""
    return abs(best.time_s - (incident.arrive_by_ms - at_ms) / 1000) <= SAME_S


def _told(fit: Fit) -> str:
    return f"{('owner', 'squad', 'nearest')[fit.rank]}, {fit.time_s:.1f} s"


# --- who may be sent


def _fit(
    state: AreaState, world: World, incident: Incident, at_ms: int, freed: frozenset[str]
) -> Iterator[Fit]:
    """Give everybody who may be sent and has a way there."""
    site = None if incident.place is None else world.roads.site(incident.place, incident.road_id)
    if site is None:
        return
    rules = world.policy.rules(
        incident.priority, incident.mode, incident.category, incident.area_id
    )
    bound = _bound(state, incident, freed)
    left_s = (incident.arrive_by_ms - at_ms) / 1000
    for member_id, member in world.members(state.area_id).items():
        if member_id in bound or not _may_go(state, incident, rules, member, at_ms):
            continue
        spot = _spot(world, member, rules, at_ms)
        if spot is None:
            continue
        time_s = travel_s(
            world.roads.network, spot, site.spot, member.travel_mode, state.closed_roads
        )
        if time_s < inf:
            rank = _rank(world, incident, member) if time_s <= left_s else 2
            yield Fit(rank, time_s, member_id)


def _bound(state: AreaState, incident: Incident, freed: frozenset[str]) -> frozenset[str]:
    """Give those who are bound by an order, in distress, or have been tried here."""
    found: set[str] = set()
    for other in state.incidents.values():
        found |= {order.member_id for order in other.orders if order.end is None}
        if other.is_live and other.distress_of is not None:
            found.add(other.distress_of)
    found |= {o.member_id for o in incident.orders[incident.tried_from :] if _was_tried(o)}
    return frozenset(found - freed)


def _was_tried(order: Order) -> bool:
    """An order that the engine took back was no attempt at the member; one a person did was."""
    return order.end is None or order.end != "stood_down" or order.barred


def _may_go(state: AreaState, incident: Incident, rules: Rules, member: Member, at_ms: int) -> bool:
    word = state.duty.get(member.member_id)
    if word is not None and (word.until_ms is None or at_ms < word.until_ms):
        on_duty = word.on_duty
    else:
        on_duty = member.schedule.duty_at(at_ms).on_duty
    resting = False
    if member.member_id in state.breaks:
        until_ms = state.breaks[member.member_id]
        resting = until_ms is None or at_ms < until_ms
    forces = incident.forces or rules.forces
    able = set(incident.skills) <= member.skills
    return on_duty and not resting and member.force in forces and able


def _spot(world: World, member: Member, rules: Rules, at_ms: int) -> Spot | None:
    """Give where a member is: at a fresh fix, else at their post, on a road of their mode."""
    track, post = world.live.track(member.member_id), world.live.post(member.member_id)
    fresh = track is not None and track.fix_ms >= at_ms - round(rules.fix_s * 1000)
    spot = track.spot if fresh and track is not None else post.spot if post is not None else None
    return None if spot is None else world.roads.network.usable(spot, member.travel_mode)


def _rank(world: World, incident: Incident, member: Member) -> int:
    """Owner, squad, or anybody; a call for help and a neighbour's call go by time alone."""
    by_time = incident.distress_of is not None or incident.origin is not None
    if by_time or incident.road_id is None:
        return 2
    road_id = incident.road_id
    if road_id in member.owned_roads:
        return 0
    squads = {
        other.team
        for other in world.members(incident.area_id).values()
        if road_id in other.owned_roads
    }
    return 1 if member.team in squads or road_id in member.team_roads else 2


# --- how long the way takes


def travel_s(
    network: Network, start: Spot, site: Spot, mode: Mode, closed: frozenset[str] = frozenset()
) -> float:
    """Give the seconds from ``start`` to ``site`` over the whole graph; infinite without a way.

    A closed road may be left and arrived at, and never passed through.
    """
    goal = network.usable(site, mode)
    if goal is None:
        return inf
    graph: nx.MultiDiGraph[tuple[int, object]] = nx.MultiDiGraph()
    for edge in range(network.edge_count):
        for layer in _layers(network, edge, start, goal, closed):
            graph.add_weighted_edges_from(
                (
                    ((layer, a), (layer, b), time_s)
                    for a, b, time_s in _arcs(network, edge, mode, (start, goal))
                ),
                weight="time_s",
            )
    for node in {node for _, node in graph.nodes}:
        graph.add_edge((LEAVING, node), (OPEN, node), time_s=0.0)
        graph.add_edge((OPEN, node), (ARRIVING, node), time_s=0.0)
    source, target = (LEAVING, _node(network, start)), (ARRIVING, _node(network, goal))
    if source not in graph or target not in graph:
        return inf
    times: Mapping[object, float] = nx.single_source_dijkstra_path_length(
        graph, source, weight="time_s"
    )
    return times.get(target, inf) / network.speed_factor


def _layers(
    network: Network, edge: int, start: Spot, goal: Spot, closed: frozenset[str]
) -> Iterable[int]:
    road = network.road_of(edge)
    if road not in closed:
        return (OPEN,)
    leaving = [LEAVING] if road == network.road_of(start.edge) else []
    return [*leaving, ARRIVING] if road == network.road_of(goal.edge) else leaving


def _arcs(
    network: Network, edge: int, mode: Mode, spots: tuple[Spot, ...]
) -> Iterator[tuple[object, object, float]]:
    """Give the arcs of one piece, cut at the spots that lie on it."""
    piece = network.piece(edge)
    if not may_use(piece, mode):
        return
    shares = sorted({0.0, 1.0} | {spot.frac for spot in spots if spot.edge == edge})
    along, against = directions(piece, mode)
    whole_s = float(network.length_m[edge]) / speed_mps(piece, mode)
    for low, high in pairwise(shares):
        a, b = _node(network, Spot(edge, low)), _node(network, Spot(edge, high))
        if along:
            yield a, b, (high - low) * whole_s
        if against:
            yield b, a, (high - low) * whole_s


def _node(network: Network, spot: Spot) -> object:
    if spot.frac in {0.0, 1.0}:
        return int((network.v if spot.frac else network.u)[spot.edge])
    return spot
