"""Organisations, sites and locations, and which patient is where."""
