"""Redis, and nothing but Redis: keys, scripts, and one module for each kind of thing that is kept."""
