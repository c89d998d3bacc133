"""One file per device; the registry finds them."""
