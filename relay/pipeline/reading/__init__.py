"""Reading from the upstream, a page at a time: ahead of a route's cursor, and behind it. See relay.domain.reading."""
