"""The console: pages for people, rendered on the server, over nothing but the REST API."""
