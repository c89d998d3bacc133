"""Backups: a sealed file with everything of one installation, and the journal that follows every commit."""
