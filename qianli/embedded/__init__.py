"""The database and the broker that come with the package, for a first run and for one health hut."""
