-- Who works here, who lies here, what is measured, and what is missing.
-- All times are timestamptz; `src` is the opaque sensor id of the wire contract.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE organisation (
    organisation_id text PRIMARY KEY,
    name_zh         text NOT NULL,
    name_en         text NOT NULL
);

CREATE TABLE site (
    site_id         text PRIMARY KEY,
    organisation_id text NOT NULL REFERENCES organisation,
    name_zh         text NOT NULL,
    name_en         text NOT NULL,
    zone            text NOT NULL DEFAULT 'Asia/Shanghai'
);

CREATE TABLE person (
    person_id       text PRIMARY KEY,
    organisation_id text NOT NULL REFERENCES organisation,
    display_zh      text NOT NULL,
    display_en      text NOT NULL
);

CREATE TABLE account (
    name          text PRIMARY KEY CHECK (name = lower(name)),
    person_id     text NOT NULL REFERENCES person,
    role          text NOT NULL CHECK (role IN ('clinician', 'administrator')),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz
);

-- The cookie holds a random token; only its SHA-256 is kept.
CREATE TABLE login_session (
    token_hash   bytea PRIMARY KEY,
    account_name text NOT NULL REFERENCES account,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz
);
CREATE INDEX login_session_by_account ON login_session (account_name);

-- `name_sort` is the pinyin key: a database without ICU cannot sort Chinese names.
CREATE TABLE patient (
    patient_id      text PRIMARY KEY,
    organisation_id text NOT NULL REFERENCES organisation,
    site_id         text NOT NULL REFERENCES site,
    bed             text NOT NULL,
    name_zh         text NOT NULL,
    name_en         text NOT NULL,
    name_sort       text NOT NULL,
    composite_zh    text NOT NULL DEFAULT '',
    composite_en    text NOT NULL DEFAULT '',
    spo2_scale      smallint NOT NULL DEFAULT 1 CHECK (spo2_scale IN (1, 2))
);
CREATE INDEX patient_by_organisation ON patient (organisation_id);

CREATE TABLE agent (
    agent         text PRIMARY KEY,
    lineage       text,
    boot          text,
    online        boolean NOT NULL DEFAULT false,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now()
);

-- `declared_at` is null until a birth message says how to read the source.
CREATE TABLE source (
    src         text PRIMARY KEY,
    agent       text REFERENCES agent,
    driver      text NOT NULL DEFAULT '',
    title_zh    text NOT NULL DEFAULT '',
    title_en    text NOT NULL DEFAULT '',
    serial_hash text NOT NULL DEFAULT '',
    bed         text NOT NULL DEFAULT '',
    simulated   boolean NOT NULL DEFAULT false,
    cadence     jsonb NOT NULL DEFAULT '{}',
    waves       jsonb NOT NULL DEFAULT '[]',
    declared_at timestamptz
);

-- A sensor belongs to at most one patient at any moment: the database itself says so.
CREATE TABLE binding (
    binding_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    src        text NOT NULL REFERENCES source,
    patient_id text NOT NULL REFERENCES patient,
    during     tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    CONSTRAINT one_patient_per_source EXCLUDE USING gist (src WITH =, during WITH &&)
);
CREATE INDEX binding_by_patient ON binding (patient_id);

CREATE TABLE observation (
    src         text NOT NULL,
    key         text NOT NULL,
    measured_at timestamptz NOT NULL,
    value       double precision,
    unit        text NOT NULL,
    quality     text NOT NULL,
    flags       text[] NOT NULL DEFAULT '{}',
    device_time timestamp,
    received_at timestamptz NOT NULL,
    sent_at     timestamptz NOT NULL,
    stored_at   timestamptz NOT NULL,
    late        boolean NOT NULL,
    lane        text NOT NULL,
    s           bigint NOT NULL,
    PRIMARY KEY (src, key, measured_at)
);

CREATE TABLE wave_block (
    src              text NOT NULL,
    stream           text NOT NULL,
    t0_us            bigint NOT NULL,
    rate_numerator   bigint NOT NULL,
    rate_denominator bigint NOT NULL,
    n                integer NOT NULL,
    first_sample     bigint NOT NULL,
    codec            smallint NOT NULL,
    samples          bytea NOT NULL,
    sent_at          timestamptz NOT NULL,
    stored_at        timestamptz NOT NULL,
    late             boolean NOT NULL,
    lane             text NOT NULL,
    s                bigint NOT NULL,
    PRIMARY KEY (src, stream, t0_us)
);

-- The same key came again with another value: the first is kept, the second is counted.
CREATE TABLE value_conflict (
    src      text NOT NULL,
    key      text NOT NULL,
    at_us    bigint NOT NULL,
    times    bigint NOT NULL DEFAULT 1,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (src, key, at_us)
);

-- `told_by` is the edge agent, or the cloud where only the cloud could know.
CREATE TABLE gap (
    src        text NOT NULL,
    keys       text[] NOT NULL,
    cause      text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz CHECK (ended_at >= started_at),
    told_by    text NOT NULL CHECK (told_by IN ('edge', 'cloud')),
    PRIMARY KEY (src, keys, cause, started_at)
);
CREATE INDEX gap_open ON gap (src) WHERE ended_at IS NULL;

-- What was received of each sequence: everything up to `upto`, and the islands in `ahead`.
CREATE TABLE lane_progress (
    agent   text NOT NULL,
    lineage text NOT NULL,
    lane    text NOT NULL,
    upto    bigint NOT NULL,
    ahead   int8multirange NOT NULL DEFAULT '{}',
    PRIMARY KEY (agent, lineage, lane)
);

CREATE TABLE dead_letter (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic          text NOT NULL,
    payload        bytea NOT NULL,
    reason         text NOT NULL,
    detail         text NOT NULL,
    received_at    timestamptz NOT NULL
);
