"""What `relay apply` reads and `relay export` prints: declared objects, how they differ from the relay's, and changes.

`document`, `shapes`, `planning`, `exporting` and `hiding` are pure. `present` and `changing` talk to the API.
"""
