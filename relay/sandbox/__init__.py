"""A stand-in for the upstream's reports API: a Litestar application that behaves as infinity-api.md says.

It makes plausible rows from a seed number, answers the polling request fast, and shows every known hazard on demand.
What is confirmed about the real API and what is guessed stands in docs/sandbox.md. Nothing of the relay but
`relay.domain` and `relay.errors` is used here, so that the stand-in cannot share the relay's mistakes.
"""
