"""Who may see whom, and by which right."""
