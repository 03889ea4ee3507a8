"""Use cases: fetch with outbound, decide with domain, keep with store. Read ingest and dispatch to know the service."""
