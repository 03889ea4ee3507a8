"""`python -m relay.processes.background MODULE`: run the `main` of a module at a lower priority.

The priority is lowered before the module is imported, because to start a process takes longer than most of its jobs.
"""

import os
import sys
from importlib import import_module

NICER_BY = 10
"""On a busy processor, the process still gets a tenth of what others get. With SCHED_IDLE it would not even start."""


def main() -> None:
    """Lower the priority, then do what the module does."""
    os.nice(NICER_BY)
    import_module(sys.argv[1]).main()


if __name__ == "__main__":
    main()
