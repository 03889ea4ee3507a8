"""The `relay` command: serve, worker, demo, sandbox."""
