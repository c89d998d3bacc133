-- What the policy of keeping has removed: how many rows of which table from before when, and the hash of them.
-- The hash stands in the audit's chain too. `patient_id` is empty where the rows were of no single person.
CREATE TABLE removal (
    removal_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    removed_at    timestamptz NOT NULL,
    kind          text NOT NULL,
    table_name    text NOT NULL,
    patient_id    text NOT NULL DEFAULT '',
    before        timestamptz NOT NULL,
    row_count     bigint NOT NULL CHECK (row_count > 0),
    hash          bytea NOT NULL CHECK (octet_length(hash) = 32),
    policy_sha256 bytea NOT NULL CHECK (octet_length(policy_sha256) = 32)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON removal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE INDEX login_session_by_end ON login_session (expires_at);
