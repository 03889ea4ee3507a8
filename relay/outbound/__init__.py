"""HTTP to others, and nothing but HTTP: the upstream reports API and the callbacks."""
