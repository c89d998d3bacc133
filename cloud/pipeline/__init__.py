"""How what agents send comes through: who stores, what waits, what is missing, what was refused."""
