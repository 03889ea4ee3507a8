"""Access tokens of authorization servers: getting, keeping and replacing them."""
