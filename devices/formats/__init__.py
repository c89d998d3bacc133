"""Byte formats that several drivers share."""
