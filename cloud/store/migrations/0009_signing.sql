-- Who signed what, how long records must be kept and what was erased; and room for a second digest while keys change.

-- A value's digest under the next key, laid out beside the one in use until all are there (docs/operations.md, Keys).
ALTER TABLE person_identifier ADD COLUMN next_digest bytea CHECK (octet_length(next_digest) = 32);

-- One key of a signer at any moment for each scheme; the private part is sealed with the ring of `keys/identifier.key`.
CREATE TABLE signing_key (
    key_id         text PRIMARY KEY,
    person_id      text NOT NULL REFERENCES person,
    scheme         text NOT NULL CHECK (scheme IN ('ed25519', 'ecdsa', 'sm2')),
    public_key     bytea NOT NULL,
    sealed_private bytea NOT NULL,
    during         tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    revoked_at     timestamptz,
    EXCLUDE USING gist (person_id WITH =, scheme WITH =, during WITH &&)
);

-- `statement` is the canonical form that was signed, kept byte for byte; the columns only find it.
CREATE TABLE signature (
    signature_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL,
    document_id   text NOT NULL,
    version       integer NOT NULL CHECK (version > 0),
    patient_id    text NOT NULL,
    signer        text NOT NULL REFERENCES person,
    signed_at     timestamptz NOT NULL,
    key_id        text NOT NULL REFERENCES signing_key,
    statement     bytea NOT NULL,
    signature     bytea NOT NULL,
    UNIQUE (kind, document_id, version, signer)
);
CREATE INDEX signature_by_patient ON signature (patient_id);
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON signature
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Somebody asks that a person's record be deleted; somebody else decides.
CREATE TABLE deletion_request (
    deletion_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id   text NOT NULL,
    organisation_id text NOT NULL REFERENCES organisation,
    requested_at timestamptz NOT NULL,
    requested_by text NOT NULL,
    reason       text NOT NULL,
    decided_at   timestamptz,
    decided_by   text CHECK (decided_by <> requested_by),
    approved     boolean,
    CHECK (num_nulls(decided_at, decided_by, approved) IN (0, 3))
);
CREATE UNIQUE INDEX one_open_deletion_per_patient ON deletion_request (patient_id) WHERE decided_at IS NULL;

-- What was erased: how many rows of each table, and the hash of them. The hash stands in the audit's chain too.
CREATE TABLE tombstone (
    deletion_id bigint PRIMARY KEY REFERENCES deletion_request,
    patient_id  text NOT NULL,
    erased_at   timestamptz NOT NULL,
    counts      jsonb NOT NULL,
    hash        bytea NOT NULL CHECK (octet_length(hash) = 32)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tombstone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
