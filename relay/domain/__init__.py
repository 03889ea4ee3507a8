"""Decisions, and nothing but decisions: no I/O, clock, randomness, environment or logging."""
