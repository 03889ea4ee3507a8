"""The sending side as a state machine without I/O: what happened goes in, what is to be done comes out.

`core` is what a driver talks to; `endpoint` is the machine of one endpoint over its lanes of all sources; `lane` is
what this worker knows of one lane that it holds; `states` has their states and the tables of what leads from one to
another; `effects` lists what a driver is asked to do. Nothing here awaits, reads a clock, or talks to anybody.
"""
