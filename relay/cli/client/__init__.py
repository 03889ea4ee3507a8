"""How commands talk to the REST API: where it is, requests, and what errors mean for the person who typed a command."""
