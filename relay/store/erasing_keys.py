"""The key of the tasks that erase people, as relay.store.keys has all others.

What stays of each person is an object of the configuration, under `erasures` (see relay.store.keys.config).
"""

from relay.store.keys import config

ERASING = config("erasing")
"""hash: id → a task that erases somebody, see relay.domain.erasing_task. Those that run, and the newest 100."""
