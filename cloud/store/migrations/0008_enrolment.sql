-- Which agents may come in with which code, and which certificates hold.

-- A code opens once and for a quarter of an hour; only a slow hash of its secret is kept.
CREATE TABLE enrolment_code (
    code_hash  bytea PRIMARY KEY CHECK (octet_length(code_hash) = 32),
    agent      text NOT NULL,
    site_id    text NOT NULL REFERENCES site,
    made_by    text NOT NULL,
    made_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > made_at),
    used_at    timestamptz
);
CREATE INDEX enrolment_code_by_agent ON enrolment_code (agent);

-- Every certificate that was ever given to an agent. `serial` is hexadecimal.
CREATE TABLE agent_certificate (
    serial     text PRIMARY KEY CHECK (serial ~ '^[0-9a-f]+$'),
    agent      text NOT NULL REFERENCES agent,
    occasion   text NOT NULL CHECK (occasion IN ('enrolment', 'renewal')),
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_by text,
    reason     text,
    CHECK (num_nulls(revoked_at, revoked_by, reason) IN (0, 3))
);
CREATE INDEX agent_certificate_by_agent ON agent_certificate (agent, issued_at);
CREATE INDEX agent_certificate_revoked ON agent_certificate (expires_at) WHERE revoked_at IS NOT NULL;

CREATE SEQUENCE revocation_list_number AS bigint;
