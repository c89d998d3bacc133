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
    seen_at timestamptz NOT NULL,
    tally   jsonb NOT NULL DEFAULT '{}'
);

-- Somebody asks for another try once the reason is gone; the worker of the agent makes it.
ALTER TABLE dead_letter
    ADD COLUMN replay_asked_at timestamptz,
    ADD COLUMN replay_asked_by text,
    ADD COLUMN replayed_at     timestamptz;
CREATE INDEX dead_letter_to_replay ON dead_letter (dead_letter_id)
 WHERE replay_asked_at IS NOT NULL AND replayed_at IS NULL;
CREATE INDEX dead_letter_by_agent ON dead_letter (split_part(topic, '/', 4));
