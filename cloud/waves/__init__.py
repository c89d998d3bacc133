"""Waves as they are kept: blocks as they came, later ten minutes in a row, later in the object store."""
