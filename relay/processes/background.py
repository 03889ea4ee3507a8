"""`python -m relay.processes.background MODULE`: run the `main` of a module whenever nothing else needs the processor.

The priority is lowered before the module is imported, because to start a process takes longer than most of its jobs.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module

NICEST = 19


def main() -> None:
    """Lower the priority, then do what the module does."""
    os.nice(NICEST)
    if hasattr(os, "SCHED_IDLE"):
        # A task of this policy is preempted at once, and a nice one only after milliseconds.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    import_module(sys.argv[1]).main()


if __name__ == "__main__":
    main()
