"""A stand-in for Infinity's reports API, with plausible rows and every hazard on demand."""
