"""Whose a sensor is at every instant: the one place where bindings begin and end."""
