"""The REST API: applications, endpoints, messages and attempts in the shape of Svix, and sources of our own."""
