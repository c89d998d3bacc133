"""Numbers that name a person: read from text, checked, masked, and never printed whole."""
