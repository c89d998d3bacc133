"""The people of a ward and which sensors are theirs."""
