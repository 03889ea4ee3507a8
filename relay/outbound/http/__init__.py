"""The HTTP/1.1 client of callbacks: asyncio protocols over httptools (docs/adr/0011-our-own-transport.md).

`answer` and `request` do no I/O. `connection` carries one exchange after another, `pool` keeps idle connections, and
`dialling`, `tls` and `proxy` open new ones. `relay.outbound.egress` decides which addresses they may reach.
"""
