"""docs/tutorial.md: pasted into a terminal as it stands, each block prints what the page shows."""
