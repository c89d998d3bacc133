"""The forms in which a record is given away: one file each."""
