"""Device trust: the installation's own certificate authority, and which agents it has let in."""
