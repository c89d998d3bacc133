"""Which worker stores what: shards of agents, owned by lease, so that each is written by one worker alone."""
