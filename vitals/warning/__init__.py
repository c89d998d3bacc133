"""Early-warning scores and rules: pure, the same on the edge and in the cloud."""
