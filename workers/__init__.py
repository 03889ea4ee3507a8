"""The worker process: arq's clock and jobs for polling, and the dispatch task group."""
