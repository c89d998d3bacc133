-- Which numbers name a patient, and which patients turned out to be one person.
-- An identifier lies here as a keyed digest (to find it) and sealed (to show it); the key is not in the database.

ALTER TABLE patient
    ADD COLUMN birth_date    date,
    ADD COLUMN sex           text NOT NULL DEFAULT 'unknown' CHECK (sex IN ('male', 'female', 'unknown')),
    ADD COLUMN match_name    text GENERATED ALWAYS AS (
        lower(regexp_replace(CASE WHEN name_zh = '' THEN name_en ELSE name_zh END, '[\s·•・]', '', 'g'))
    ) STORED,
    ADD COLUMN registered_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN registered_by text NOT NULL DEFAULT 'ward-file',
    ADD CONSTRAINT patient_in_organisation UNIQUE (patient_id, organisation_id);
CREATE INDEX patient_by_birth_date_and_name ON patient (birth_date, match_name) WHERE birth_date IS NOT NULL;
-- The wall shows who lies in a bed or wears a sensor, not everybody who was ever registered.
CREATE INDEX patient_in_bed ON patient (patient_id) WHERE bed <> '';

-- Of the patients of an organisation one at most holds an identifier; whoever else says so claims it.
CREATE TABLE person_identifier (
    identifier_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id      text NOT NULL,
    organisation_id text NOT NULL,
    kind            text NOT NULL CHECK (kind IN
                    ('resident_id', 'passport', 'health_card', 'insurance', 'hospital_record', 'temporary')),
    issuer          text NOT NULL,
    digest          bytea NOT NULL CHECK (octet_length(digest) = 32),
    sealed          bytea NOT NULL,
    standing        text NOT NULL CHECK (standing IN ('held', 'claimed')),
    added_at        timestamptz NOT NULL,
    added_by        text NOT NULL,
    FOREIGN KEY (patient_id, organisation_id) REFERENCES patient (patient_id, organisation_id),
    UNIQUE (patient_id, digest, kind, issuer)
);
CREATE UNIQUE INDEX one_holder_per_identifier ON person_identifier (digest, kind, issuer, organisation_id)
    WHERE standing = 'held';
CREATE INDEX claim_by_identifier ON person_identifier (digest, kind, issuer) WHERE standing = 'claimed';

-- A merge is a link and moves nothing: taking it back restores what was. `rule` is null where a person decided.
CREATE TABLE patient_merge (
    merge_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id text NOT NULL,
    merged_id       text NOT NULL,
    survivor_id     text NOT NULL CHECK (survivor_id <> merged_id),
    merged_at       timestamptz NOT NULL,
    merged_by       text NOT NULL,
    reason          text NOT NULL,
    rule            text CHECK (rule IN ('same_identifier')),
    unmerged_at     timestamptz,
    unmerged_by     text,
    unmerge_reason  text,
    CHECK (num_nulls(unmerged_at, unmerged_by, unmerge_reason) IN (0, 3)),
    FOREIGN KEY (merged_id, organisation_id) REFERENCES patient (patient_id, organisation_id),
    FOREIGN KEY (survivor_id, organisation_id) REFERENCES patient (patient_id, organisation_id)
);
CREATE UNIQUE INDEX one_survivor_per_patient ON patient_merge (merged_id) WHERE unmerged_at IS NULL;
CREATE INDEX patient_merge_by_merged ON patient_merge (merged_id);
CREATE INDEX patient_merge_by_survivor ON patient_merge (survivor_id);

-- Whom an id means now, through every merge that holds.
CREATE FUNCTION surviving_patient(asked text) RETURNS text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE chain (patient_id, depth) AS (
        SELECT asked, 0
        UNION ALL
        SELECT m.survivor_id, c.depth + 1
          FROM chain c JOIN patient_merge m ON m.merged_id = c.patient_id AND m.unmerged_at IS NULL
    )
    SELECT patient_id FROM chain ORDER BY depth DESC LIMIT 1
$$;

-- The name under which a place without a connection registered somebody, so that sending twice registers once.
CREATE TABLE patient_registration (
    organisation_id text NOT NULL,
    registration    text NOT NULL,
    patient_id      text NOT NULL,
    PRIMARY KEY (organisation_id, registration),
    FOREIGN KEY (patient_id, organisation_id) REFERENCES patient (patient_id, organisation_id)
);

CREATE TABLE temporary_number (
    organisation_id text NOT NULL REFERENCES organisation,
    site            text NOT NULL,
    given_on        date NOT NULL,
    last_number     integer NOT NULL,
    PRIMARY KEY (organisation_id, site, given_on)
);

-- Which key the digests were made with, so that a wrong or lost key file is noticed at the start.
CREATE TABLE identifier_key (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    fingerprint bytea NOT NULL
);
