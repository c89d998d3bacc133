"""Who is asking: accounts, login sessions, and the `Subject` that every reading query takes."""
