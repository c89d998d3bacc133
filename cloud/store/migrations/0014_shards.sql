-- Which worker stores the messages of which shards. A token is larger than any before it: who writes with an
-- old one is refused, however alive it feels.
CREATE SEQUENCE ingest_token;

CREATE TABLE ingest_lease (
    group_no integer PRIMARY KEY,
    groups   integer NOT NULL CHECK (group_no BETWEEN 0 AND groups - 1),
    holder   text,
    token    bigint NOT NULL DEFAULT nextval('ingest_token'),
    since    timestamptz NOT NULL DEFAULT now(),
    until    timestamptz NOT NULL DEFAULT '-infinity'
);

CREATE TABLE ingest_worker (
    name    text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
