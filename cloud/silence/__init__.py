"""Which sources are silent, since when, and why."""
