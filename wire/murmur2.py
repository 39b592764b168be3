"""Which partition a key belongs to, as Kafka's own clients choose it.

aiokafka's murmur2 is pure Python and lives in a module that it does not document
(``aiokafka.partitioner``); the tests hold this one equal to it.
"""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits unsigned, with the seed of Kafka's ``Utils.murmur2``."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _WORD
        k = (k ^ k >> 24) * _M & _WORD
        h = (h * _M & _WORD) ^ k
    if tail := data[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _WORD
    h = (h ^ h >> 13) * _M & _WORD
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a record with this key in a topic with so many partitions."""
    assert partitions > 0
    return (murmur2(key) & 0x7FFFFFFF) % partitions
