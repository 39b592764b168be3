"""One hash of all that a run left: every record with its receipt, and the states at the end."""

from hashlib import sha256

from xiaohe.dispatch.snapshot import rows
from xiaohe.sim.faults import city
from xiaohe.sim.faults.evidence import Evidence


def hash_of(evidence: Evidence) -> str:
    """Give the SHA-256 of a run; the same run has the same on every machine."""
    found = sha256()
    topics = evidence.topics
    for topic in sorted(each.id for each in city.topics(topics.partitions)):
        for raw in topics.read_all(topic):
            place = (raw.topic, raw.partition, raw.offset, raw.timestamp_ms, raw.headers)
            found.update(repr((place, raw.key, raw.value)).encode())
    for partition, engine in sorted(evidence.engines.items()):
        found.update(b"%d" % partition)
        for row in rows(engine.states()):
            found.update(row)
    return found.hexdigest()


def hash_all(hashes: list[str]) -> str:
    """Give the hash over the hashes of several runs, in the order of their seeds."""
    return sha256("".join(hashes).encode()).hexdigest()
