"""Real faults on the real thing: workers and the broker killed under load, from a seed, and what
the topics say afterwards."""
