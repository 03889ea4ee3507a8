"""Requests and answers: the shapes on the wire, apart from those that are kept."""
