"""The variables of the command line's client. Services ignore them: they often share an environment with the client."""

API_URL = "RELAY_API_URL"
API_KEY = "RELAY_API_KEY"
PROFILE = "RELAY_PROFILE"

CLIENT_VARIABLES = {
    API_URL: "The URL of the relay's API, such as `https://relay.example.com`. None: `http://127.0.0.1` with "
    "`RELAY_PORT`",
    API_KEY: "The API key. None: `RELAY_ADMIN_KEY`, if the URL is not set either",
    PROFILE: "The name of a profile with both. It is used if neither of them is set",
}
"""Each variable with what it does."""
