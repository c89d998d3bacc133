"""Sign-in through the provider of a hospital (OpenID Connect)."""
