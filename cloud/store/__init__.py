"""PostgreSQL: connections and the numbered migrations. The SQL of a room lies in its `queries.py`."""
