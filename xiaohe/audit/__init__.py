"""What the topics promise each other, checked without the engine's own code.

Written from the wire contract alone, so that a fault of the engine is not repeated here: nothing
of ``dispatch``, ``geo`` or ``streams`` is imported. ``xiaohe.verify`` reads the topics.
"""
