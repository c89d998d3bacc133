"""Continuous values: how they lie in the database, and how they are read back. No room: rooms stand on it."""
