"""How long tests wait. None of them measures speed: the machine may be slow, and busy with something else."""

PATIENCE_S = 30.0
"""For something that must happen: enough for a slow machine, and not what a working relay takes."""
FOREVER_S = 3600.0
"""For something that must not be waited for: a test that does so fails at its own time limit."""
