"""Connected parts of a directed graph, in linear time and without recursion."""

from collections.abc import Iterable, Sequence


def weak_components(node_count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each node the lowest node that it is joined to, directions not heeded."""
    root = list(range(node_count))

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for a, b in links:
        low, high = sorted((find(a), find(b)))
        root[high] = low
    return [find(node) for node in range(node_count)]


def strong_components(leaving: Sequence[Sequence[int]]) -> list[int]:
    """Return a component number for each node; ``leaving[n]`` are the nodes that n leads to.

    Two nodes have the same number if each can be reached from the other. Tarjan's algorithm
    with its own stack, for a street of a metropolis is longer than Python may recurse. Numbers
    rise against the arcs: no component leads to one with a higher number.
    """
    unseen = -1
    seen_at = [unseen] * len(leaving)
    lowest = [0] * len(leaving)
    component = [unseen] * len(leaving)
    open_nodes: list[int] = []
    clock = components = 0
    for start in range(len(leaving)):
        if seen_at[start] != unseen:
            continue
        work = [(start, 0)]
        while work:
            node, turn = work.pop()
            if turn == 0:
                seen_at[node] = lowest[node] = clock
                clock += 1
                open_nodes.append(node)
            else:
                lowest[node] = min(lowest[node], lowest[leaving[node][turn - 1]])
            for next_turn in range(turn, len(leaving[node])):
                head = leaving[node][next_turn]
                if seen_at[head] == unseen:
                    work += [(node, next_turn + 1), (head, 0)]
                    break
                if component[head] == unseen:
                    lowest[node] = min(lowest[node], seen_at[head])
            else:
                if lowest[node] == seen_at[node]:
                    member = unseen
                    while member != node:
                        member = open_nodes.pop()
                        component[member] = components
                    components += 1
    return component
