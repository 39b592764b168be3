"""``xiaohe replay``: a recorded log folded again, and decided again, and compared.

``recording`` keeps topics in files, ``reading`` takes them from a Kafka, ``folds`` folds the
decisions log in several ways, ``again`` decides every input once more, ``account`` sums up.
"""
