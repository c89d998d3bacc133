"""Who looked and who acted, in a chain that nobody can change unseen."""
