"""How somebody without an account gets one, with a code that was handed over."""
