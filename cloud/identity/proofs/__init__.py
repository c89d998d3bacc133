"""Second factors: codes by time, passkeys, recovery codes."""
