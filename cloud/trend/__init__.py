"""A patient's last hours: what was measured, and where nothing was."""
