"""Processes that work for a worker or for the API: how they are started, asked, limited and ended."""
