"""Device bytes to observations, and a simulator per device."""
