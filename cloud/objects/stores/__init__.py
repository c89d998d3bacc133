"""Implementations of the object store."""
