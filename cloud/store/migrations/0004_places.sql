-- Which organisations there are, where their people lie, who works there as what, and who is on duty when.

-- A village clinic is part of a township centre, and so on upwards; `level` is the administrative one.
ALTER TABLE organisation
    ADD COLUMN level   text NOT NULL DEFAULT 'county'
        CHECK (level IN ('village', 'township', 'county', 'city', 'province')),
    ADD COLUMN part_of text REFERENCES organisation CHECK (part_of <> organisation_id),
    ADD COLUMN closed_at timestamptz;

-- 医联体: a league of organisations that refer to one another without being part of one another.
CREATE TABLE consortium (
    consortium_id text PRIMARY KEY,
    name_zh       text NOT NULL,
    name_en       text NOT NULL
);
CREATE TABLE affiliation (
    consortium_id   text NOT NULL REFERENCES consortium,
    organisation_id text NOT NULL REFERENCES organisation,
    position        text NOT NULL CHECK (position IN ('lead', 'member')),
    during          tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    EXCLUDE USING gist (consortium_id WITH =, organisation_id WITH =, during WITH &&)
);
CREATE INDEX affiliation_by_organisation ON affiliation (organisation_id);

-- `division` is a code of GB/T 2260 (county, 6 digits) or its statistical extension (township 9, village 12).
CREATE TABLE service_area (
    organisation_id text NOT NULL REFERENCES organisation,
    division        text NOT NULL CHECK (division ~ '^[0-9]{6}([0-9]{3}([0-9]{3})?)?$'),
    name_zh         text NOT NULL,
    PRIMARY KEY (organisation_id, division)
);

-- A site is one address; a location is a part of it, or something that moves. `code` is what is written on it.
CREATE TABLE location (
    location_id text PRIMARY KEY,
    site_id     text NOT NULL REFERENCES site,
    kind        text NOT NULL CHECK (kind IN ('ward', 'room', 'bed', 'hut', 'vehicle', 'home')),
    part_of     text REFERENCES location CHECK (part_of <> location_id),
    code        text NOT NULL,
    name_zh     text NOT NULL,
    name_en     text NOT NULL,
    closed_at   timestamptz,
    UNIQUE (site_id, kind, code)
);
CREATE INDEX location_by_parent ON location (part_of);

-- Where somebody works as what. Losing a role ends its interval; nothing is deleted.
CREATE TABLE practitioner_role (
    practitioner_role_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id            text NOT NULL REFERENCES person,
    organisation_id      text NOT NULL REFERENCES organisation,
    role                 text NOT NULL CHECK (role IN ('physician', 'specialist', 'family_doctor',
                         'village_doctor', 'nurse', 'technician', 'ambulance_crew', 'administrator', 'auditor')),
    during               tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    EXCLUDE USING gist (person_id WITH =, organisation_id WITH =, role WITH =, during WITH &&)
);

-- A licence: without one that covers the role and the moment nobody signs. The number is sealed like an identifier.
CREATE TABLE qualification (
    qualification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id        text NOT NULL REFERENCES person,
    kind             text NOT NULL CHECK (kind IN ('physician', 'assistant_physician', 'village_doctor',
                     'nurse', 'technician')),
    sealed_number    bytea NOT NULL,
    issuer           text NOT NULL,
    valid            daterange NOT NULL CHECK (NOT isempty(valid)),
    revoked_at       timestamptz
);
CREATE INDEX qualification_by_person ON qualification (person_id);

CREATE TABLE team (
    team_id         text PRIMARY KEY,
    organisation_id text NOT NULL REFERENCES organisation,
    name_zh         text NOT NULL,
    name_en         text NOT NULL,
    closed_at       timestamptz
);
-- What a team looks after: a whole site, or a location with everything in it.
CREATE TABLE team_place (
    team_id     text NOT NULL REFERENCES team,
    site_id     text NOT NULL REFERENCES site,
    location_id text REFERENCES location,
    UNIQUE NULLS NOT DISTINCT (team_id, site_id, location_id)
);
CREATE INDEX team_place_by_site ON team_place (site_id);
-- Who is on duty when, by the hour. An open end is a standing duty (a village doctor, the demo).
CREATE TABLE duty (
    duty_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    team_id   text NOT NULL REFERENCES team,
    person_id text NOT NULL REFERENCES person,
    during    tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    EXCLUDE USING gist (team_id WITH =, person_id WITH =, during WITH &&)
);
CREATE INDEX duty_by_person ON duty (person_id);

-- Which bed, room or vehicle a patient is in; the free text `bed` of before stays what the wall prints.
ALTER TABLE patient ADD COLUMN location_id text REFERENCES location;

ALTER TABLE account DROP CONSTRAINT account_role_check,
    ADD CONSTRAINT account_role_check
        CHECK (role IN ('clinician', 'nurse', 'administrator', 'auditor', 'resident', 'client'));
