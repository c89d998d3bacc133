"""Commands to agents: what they are told to do, how their clocks stand, and what is asked for again."""
