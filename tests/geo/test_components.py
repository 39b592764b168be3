"""Connected parts, held against networkx."""

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from xiaohe.geo.components import strong_components, weak_components

NODES = 9
arcs = st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), max_size=25)


def parts(labels):
    """The sets of nodes with one label."""
    return {frozenset(n for n in range(NODES) if labels[n] == label) for label in labels}


@given(arcs)
def test_weak_parts_are_those_of_networkx(links):
    """Joined in either direction; the label is the lowest node."""
    graph = nx.Graph(links)
    graph.add_nodes_from(range(NODES))
    labels = weak_components(NODES, links)
    assert parts(labels) == set(map(frozenset, nx.connected_components(graph)))
    assert all(labels[label] == label <= node for node, label in enumerate(labels))


@given(arcs)
def test_strong_parts_are_those_of_networkx(links):
    """Each reaches each; no part leads to one with a higher number."""
    graph = nx.DiGraph(links)
    graph.add_nodes_from(range(NODES))
    leaving = [list(graph.successors(node)) for node in range(NODES)]
    labels = strong_components(leaving)
    assert parts(labels) == set(map(frozenset, nx.strongly_connected_components(graph)))
    assert all(labels[tail] >= labels[head] for tail, head in links)


def test_a_street_longer_than_python_recurses():
    """A chain of 100,000 nodes is no trouble."""
    count = 100_000
    chain = [[n + 1] for n in range(count - 1)] + [[]]
    assert len(set(strong_components(chain))) == count
    assert set(weak_components(count, ((n, n + 1) for n in range(count - 1)))) == {0}
