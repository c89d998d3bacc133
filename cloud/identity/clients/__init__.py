"""Other systems: an id and a secret, and the short-lived tokens they get for them (RFC 6749, section 4.4)."""
