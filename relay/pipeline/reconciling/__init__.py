"""Reconciliation at work: what the upstream shows is compared with the books, and differences are repaired."""
