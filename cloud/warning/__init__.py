"""Early-warning scores of patients, from what was measured and is still fresh."""
