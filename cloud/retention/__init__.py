"""How long records are kept, giving a person's whole record away, and deleting it provably."""
