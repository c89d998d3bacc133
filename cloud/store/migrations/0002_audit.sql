-- Who looked at what and did what: entries are added and never changed (docs/decisions/0004-audit.md).
-- Each entry holds the SHA-256 of the one before it; checkpoints sign the newest hash.

CREATE TABLE audit_entry (
    sequence      bigint PRIMARY KEY CHECK (sequence > 0),
    at            timestamptz NOT NULL,
    person        text NOT NULL,
    role          text NOT NULL,
    organisation  text NOT NULL,
    purpose       text NOT NULL,
    action        text NOT NULL,
    target_kind   text NOT NULL,
    target_id     text NOT NULL,
    outcome       text NOT NULL,
    origin        text NOT NULL,
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash          bytea NOT NULL CHECK (octet_length(hash) = 32)
);

CREATE TABLE audit_checkpoint (
    sequence   bigint PRIMARY KEY REFERENCES audit_entry,
    at         timestamptz NOT NULL,
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    signature  bytea NOT NULL CHECK (octet_length(signature) = 64)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: it is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
