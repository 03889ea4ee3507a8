"""Dispatch: what drives the core of `relay.domain.sending` with the store and the sender.

`dispatcher` puts what happens into the core and does what it asks for; `exchanging` makes the exchanges of one source;
`asking` gathers small questions to the store into few round trips; `arriving` finds the events of references.
"""
