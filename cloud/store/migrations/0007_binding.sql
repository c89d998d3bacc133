-- Whose a sensor is: how a binding came about, why it ended, and what was put right afterwards.

-- Whose devices an agent serves. Without a site nobody can bind its devices or see what they measured.
ALTER TABLE agent ADD COLUMN site_id text REFERENCES site;
UPDATE agent a SET site_id = (
    SELECT min(p.site_id) FROM source s JOIN binding b USING (src) JOIN patient p USING (patient_id)
     WHERE s.agent = a.agent);

-- `location_id`: the bed or vehicle to which a device is fixed. `clock_agreed_at`: when the device's own clock
-- last agreed with its agent's, so that what comes from its memory can be placed in time.
ALTER TABLE source
    ADD COLUMN location_id     text REFERENCES location,
    ADD COLUMN clock_agreed_at timestamptz;

ALTER TABLE binding
    ADD COLUMN origin     text NOT NULL DEFAULT 'ward_file'
        CHECK (origin IN ('scan', 'bed', 'trip', 'household', 'ward_file', 'retro')),
    ADD COLUMN origin_id  text NOT NULL DEFAULT '',
    ADD COLUMN is_once    boolean NOT NULL DEFAULT false,
    ADD COLUMN begun_at   timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN begun_by   text NOT NULL DEFAULT 'system',
    ADD COLUMN ended_at   timestamptz,
    ADD COLUMN ended_by   text,
    ADD COLUMN end_reason text CHECK (end_reason IN ('discharge', 'end_of_trip', 'hand_over', 'replaced',
        'returned', 'moved', 'wrong_person', 'reading_taken', 'idle'));
UPDATE binding SET begun_at = lower(during);
UPDATE binding SET ended_at = upper(during), ended_by = 'system', end_reason = 'hand_over'
 WHERE NOT upper_inf(during);
CREATE INDEX binding_once ON binding (src) WHERE is_once;
CREATE INDEX binding_by_origin ON binding (origin, origin_id) WHERE origin_id <> '';

-- By how much a measured time may be wrong: the value was measured between `measured_at` and
-- `measured_at + clock_shift`, and belongs to a person only if one binding covers both. NULL: the device's
-- clock tells nothing, and it belongs to nobody until somebody claims it.
ALTER TABLE observation ADD COLUMN clock_shift interval DEFAULT '0';
ALTER TABLE wave_block ADD COLUMN clock_shift interval NOT NULL DEFAULT '0';
CREATE INDEX observation_in_doubt ON observation (src, measured_at) WHERE clock_shift IS DISTINCT FROM '0';

-- What was taken from one person (null: from nobody, the tray) and given to another (null: back to the tray).
CREATE TABLE binding_correction (
    correction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    src           text NOT NULL REFERENCES source,
    during        tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    from_patient  text REFERENCES patient,
    to_patient    text REFERENCES patient CHECK (to_patient IS DISTINCT FROM from_patient),
    reason        text NOT NULL CHECK (reason <> ''),
    corrected_at  timestamptz NOT NULL,
    corrected_by  text NOT NULL
);
CREATE INDEX binding_correction_by_loser ON binding_correction (from_patient);
CREATE INDEX binding_correction_by_winner ON binding_correction (to_patient);

-- Kept, and not shown in the tray any more.
CREATE TABLE dismissed_measurement (
    src          text NOT NULL REFERENCES source,
    during       tstzrange NOT NULL CHECK (NOT isempty(during)),
    reason       text NOT NULL CHECK (reason <> ''),
    dismissed_at timestamptz NOT NULL,
    dismissed_by text NOT NULL
);
CREATE INDEX dismissed_measurement_by_source ON dismissed_measurement USING gist (src, during);

-- People who share devices; the first of them is whose a measurement is unless another claims it.
CREATE TABLE household (
    household_id    text PRIMARY KEY,
    organisation_id text NOT NULL REFERENCES organisation
);
CREATE TABLE household_member (
    household_id text NOT NULL REFERENCES household,
    patient_id   text NOT NULL REFERENCES patient,
    position     smallint NOT NULL CHECK (position > 0),
    PRIMARY KEY (household_id, position),
    UNIQUE (household_id, patient_id)
);
