"""Choosing, changing and replacing passwords."""
