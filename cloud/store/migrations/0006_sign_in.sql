-- How somebody proves who they are, which sessions are open, and which systems have tokens.

ALTER TABLE login_session
    ADD COLUMN session_id       text NOT NULL UNIQUE DEFAULT 'session-' || replace(gen_random_uuid()::text, '-', ''),
    ADD COLUMN device           text NOT NULL DEFAULT '',
    ADD COLUMN issuer           text,
    ADD COLUMN seen_at          timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN stepped_up_until timestamptz,
    ADD COLUMN challenge        bytea,
    ADD COLUMN challenge_until  timestamptz;

-- The right password was given and a second proof is awaited; it opens nothing else.
CREATE TABLE pending_login (
    token_hash      bytea PRIMARY KEY,
    account_name    text NOT NULL REFERENCES account,
    expires_at      timestamptz NOT NULL,
    challenge       bytea,
    challenge_until timestamptz
);

-- `last_step` is the newest 30 s step whose code was taken: no code works twice (RFC 6238, section 5.2).
CREATE TABLE totp (
    totp_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_name  text NOT NULL REFERENCES account,
    sealed_secret bytea NOT NULL,
    created_at    timestamptz NOT NULL,
    confirmed_at  timestamptz,
    last_step     bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX one_totp_per_account ON totp (account_name) WHERE confirmed_at IS NOT NULL;
CREATE UNIQUE INDEX one_totp_being_enrolled ON totp (account_name) WHERE confirmed_at IS NULL;

CREATE TABLE recovery_code (
    account_name text NOT NULL REFERENCES account,
    digest       bytea NOT NULL,
    used_at      timestamptz,
    PRIMARY KEY (account_name, digest)
);

-- `suspended_at`: its counter went backwards, so a copy of it may exist (WebAuthn, section 6.1.1).
CREATE TABLE passkey (
    passkey_id    text PRIMARY KEY,
    credential_id bytea NOT NULL UNIQUE,
    account_name  text NOT NULL REFERENCES account,
    public_key    bytea NOT NULL,
    sign_count    bigint NOT NULL,
    title         text NOT NULL,
    relying_party text NOT NULL,
    created_at    timestamptz NOT NULL,
    used_at       timestamptz,
    suspended_at  timestamptz
);
CREATE INDEX passkey_by_account ON passkey (account_name);

-- Failures by account name, client id or source address, known or not, as keyed digests.
CREATE TABLE sign_in_failure (
    kind         text NOT NULL CHECK (kind IN ('account', 'client', 'source')),
    digest       bytea NOT NULL,
    failures     integer NOT NULL,
    failed_at    timestamptz NOT NULL,
    locked_until timestamptz,
    PRIMARY KEY (kind, digest)
);
CREATE INDEX sign_in_failure_by_age ON sign_in_failure (failed_at);

-- Somebody whom a hospital's own sign-in knows. Never matched by name or e-mail.
CREATE TABLE oidc_identity (
    issuer       text NOT NULL,
    subject_id   text NOT NULL,
    account_name text NOT NULL REFERENCES account,
    linked_at    timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject_id)
);
CREATE TABLE oidc_request (
    state_hash    bytea PRIMARY KEY,
    browser_hash  bytea NOT NULL,
    issuer        text NOT NULL,
    nonce         text NOT NULL,
    sealed_secret bytea NOT NULL,
    expires_at    timestamptz NOT NULL
);

CREATE TABLE api_client (
    client_id       text PRIMARY KEY,
    organisation_id text NOT NULL REFERENCES organisation,
    title           text NOT NULL,
    secret_hash     bytea NOT NULL,
    scopes          text[] NOT NULL,
    created_at      timestamptz NOT NULL,
    created_by      text NOT NULL,
    revoked_at      timestamptz,
    used_at         timestamptz
);
CREATE TABLE api_token (
    token_hash bytea PRIMARY KEY,
    client_id  text NOT NULL REFERENCES api_client,
    scopes     text[] NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX api_token_by_client ON api_token (client_id);
