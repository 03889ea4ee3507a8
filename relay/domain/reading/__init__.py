"""Readings: which rowIds of a route the relay asks the upstream for, when, and in which order. No I/O.

Forward pages read what is behind the cursor. Everything else reads rows that the cursor has passed: a *reading*, with a
place of its own (`place`), planned by the settings (`plan`).
"""
