"""The bodies of requests and responses, separate from what is stored."""
