"""Expressions of endpoints: JSONata, with a few functions of the relay's own, evaluated in processes with limits.

docs/transformations.md describes the language and the limits, adr/0029 the reasons.
"""
