"""The requests that an endpoint's callbacks are: method, URL, body, what is asked before, and how answers count."""
