-- Which organisations there are, where their people lie, who works there as what, and who is on duty when.

-- A village clinic is part of a township centre, and so on upwards; `level` is the administrative one.
ALTER TABLE organisation
    ADD COLUMN level   text NOT NULL DEFAULT 'county'
        CHECK (level IN ('village', 'township', 'county', 'city', 'province')),
    ADD COLUMN part_of text REFERENCES organisation CHECK (part_of <> organisation_id),
    ADD COLUMN closed_at timestamptz;
CREATE INDEX organisation_by_parent ON organisation (part_of);

CREATE FUNCTION level_rank(level text) RETURNS integer LANGUAGE sql IMMUTABLE AS
    $$ SELECT array_position(ARRAY['village', 'township', 'county', 'city', 'province'], level) $$;

-- What an organisation is part of stands higher; so there can be no circle. The lock on the parent makes two
-- changes that come at the same time see each other.
CREATE FUNCTION check_organisation_level() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    above text;
BEGIN
    IF NEW.part_of IS NOT NULL THEN
        SELECT level INTO above FROM organisation WHERE organisation_id = NEW.part_of FOR SHARE;
        IF level_rank(above) <= level_rank(NEW.level) THEN
            RAISE EXCEPTION 'an organisation is part of one of a higher level'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'part_of_stands_higher';
        END IF;
    END IF;
    IF EXISTS (SELECT FROM organisation
                WHERE part_of = NEW.organisation_id AND level_rank(level) >= level_rank(NEW.level)) THEN
        RAISE EXCEPTION 'a part of this organisation does not stand lower'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'part_of_stands_higher';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER organisation_level BEFORE INSERT OR UPDATE OF level, part_of ON organisation
    FOR EACH ROW EXECUTE FUNCTION check_organisation_level();

-- An organisation and everything that is part of it: as far as its administrators reach.
CREATE FUNCTION organisations_below(top text) RETURNS SETOF text LANGUAGE sql STABLE ROWS 20 AS $$
    WITH RECURSIVE below (organisation_id) AS (
        SELECT o.organisation_id FROM organisation o WHERE o.organisation_id = top
        UNION
        SELECT o.organisation_id FROM below b JOIN organisation o ON o.part_of = b.organisation_id
    )
    SELECT organisation_id FROM below
$$;

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
    CONSTRAINT one_affiliation_at_a_time
        EXCLUDE USING gist (consortium_id WITH =, organisation_id WITH =, during WITH &&),
    CONSTRAINT one_lead_at_a_time
        EXCLUDE USING gist (consortium_id WITH =, during WITH &&) WHERE (position = 'lead')
);
CREATE INDEX affiliation_by_organisation ON affiliation (organisation_id);

-- `division` is a code of GB/T 2260 (county, 6 digits) or its statistical extension (township 9, village 12).
CREATE TABLE service_area (
    organisation_id text NOT NULL REFERENCES organisation,
    division        text NOT NULL
        CHECK (division ~ '^(1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[12])[0-9]{4}([0-9]{3}([0-9]{3})?)?$'),
    name_zh         text NOT NULL,
    PRIMARY KEY (organisation_id, division)
);

-- A site is one address; a location is a part of it, or something that moves. `code` is what is written on it.
CREATE TABLE location (
    location_id text PRIMARY KEY,
    site_id     text NOT NULL REFERENCES site,
    kind        text NOT NULL CHECK (kind IN ('ward', 'room', 'bed', 'hut', 'vehicle', 'home')),
    part_of     text,
    code        text NOT NULL CHECK (code <> ''),
    name_zh     text NOT NULL,
    name_en     text NOT NULL,
    closed_at   timestamptz,
    UNIQUE (site_id, kind, code),
    UNIQUE (location_id, site_id),
    UNIQUE (location_id, kind),
    CONSTRAINT part_of_same_site FOREIGN KEY (part_of, site_id) REFERENCES location (location_id, site_id)
);
CREATE INDEX location_by_parent ON location (part_of);

-- A bed stands in a room, ward, hut, vehicle or home, a room in a ward, hut or home; the rest in nothing. Each
-- kind lies in a bigger one, and kind and site never change: so there can be no circle.
CREATE FUNCTION check_location_nesting() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    around text;
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.kind, NEW.site_id) <> (OLD.kind, OLD.site_id) THEN
        RAISE EXCEPTION 'a location keeps its kind and its site'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'location_stays_what_it_is';
    END IF;
    IF NEW.part_of IS NULL THEN
        RETURN NEW;
    END IF;
    SELECT kind INTO around FROM location WHERE location_id = NEW.part_of;
    IF NOT ((NEW.kind = 'bed' AND around IN ('room', 'ward', 'hut', 'vehicle', 'home'))
            OR (NEW.kind = 'room' AND around IN ('ward', 'hut', 'home'))) THEN
        RAISE EXCEPTION 'a % does not lie in a %', NEW.kind, around
            USING ERRCODE = 'check_violation', CONSTRAINT = 'location_nests';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER location_nesting BEFORE INSERT OR UPDATE OF kind, site_id, part_of ON location
    FOR EACH ROW EXECUTE FUNCTION check_location_nesting();

-- A location and what it lies in, innermost first; three steps at most.
CREATE FUNCTION enclosing_locations(inner_most text) RETURNS TABLE (location_id text, depth integer)
LANGUAGE sql STABLE ROWS 3 AS $$
    WITH RECURSIVE around (location_id, part_of, depth) AS (
        SELECT l.location_id, l.part_of, 0 FROM location l WHERE l.location_id = inner_most
        UNION ALL
        SELECT l.location_id, l.part_of, a.depth + 1 FROM around a JOIN location l ON l.location_id = a.part_of
    )
    SELECT location_id, depth FROM around
$$;

-- Where somebody works as what. Losing a role ends its interval; nothing is deleted.
CREATE TABLE practitioner_role (
    practitioner_role_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id            text NOT NULL REFERENCES person,
    organisation_id      text NOT NULL REFERENCES organisation,
    role                 text NOT NULL CHECK (role IN ('physician', 'specialist', 'family_doctor',
                         'village_doctor', 'nurse', 'technician', 'ambulance_crew', 'administrator', 'auditor')),
    during               tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    CONSTRAINT one_role_at_a_time
        EXCLUDE USING gist (person_id WITH =, organisation_id WITH =, role WITH =, during WITH &&)
);
CREATE INDEX practitioner_role_by_organisation ON practitioner_role (organisation_id);

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
    location_id text,
    CONSTRAINT location_of_the_site FOREIGN KEY (location_id, site_id) REFERENCES location (location_id, site_id)
);
CREATE UNIQUE INDEX team_place_once ON team_place (team_id, site_id, COALESCE(location_id, ''));
CREATE INDEX team_place_by_site ON team_place (site_id);
-- Who is on duty when, by the hour. An open end is a standing duty (a village doctor, the demo).
CREATE TABLE duty (
    duty_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    team_id   text NOT NULL REFERENCES team,
    person_id text NOT NULL REFERENCES person,
    during    tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    CONSTRAINT no_overlapping_duty
        EXCLUDE USING gist (team_id WITH =, person_id WITH =, during WITH &&)
);
CREATE INDEX duty_by_person ON duty (person_id);

-- Where a patient was when; `kind` is that of the location, so that only a bed is for one patient at a time.
CREATE TABLE stay (
    stay_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id  text NOT NULL REFERENCES patient,
    location_id text NOT NULL,
    kind        text NOT NULL,
    during      tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    begun_by    text NOT NULL,
    ended_by    text,
    FOREIGN KEY (location_id, kind) REFERENCES location (location_id, kind),
    CONSTRAINT one_place_per_patient EXCLUDE USING gist (patient_id WITH =, during WITH &&),
    CONSTRAINT one_patient_per_bed EXCLUDE USING gist (location_id WITH =, during WITH &&) WHERE (kind = 'bed')
);

-- Where a patient is now: follows the open stay, as does the site and the text `bed` that the wall prints.
ALTER TABLE patient ADD COLUMN location_id text REFERENCES location;
CREATE INDEX patient_by_location ON patient (location_id);
CREATE FUNCTION follow_stay() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_own boolean;
BEGIN
    IF upper_inf(NEW.during) THEN
        UPDATE patient p SET location_id = l.location_id, site_id = l.site_id, bed = l.code
          FROM location l JOIN site s USING (site_id)
         WHERE p.patient_id = NEW.patient_id AND l.location_id = NEW.location_id
           AND s.organisation_id = p.organisation_id
        RETURNING true INTO is_own;
        IF is_own IS NULL THEN
            RAISE EXCEPTION 'a patient stays at a site of the own organisation'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'stay_in_own_organisation';
        END IF;
    ELSIF TG_OP = 'UPDATE' AND upper_inf(OLD.during) THEN
        UPDATE patient SET location_id = NULL, bed = '' WHERE patient_id = NEW.patient_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stay_of_patient AFTER INSERT OR UPDATE OF during ON stay
    FOR EACH ROW EXECUTE FUNCTION follow_stay();

-- Whether somebody, not a ward file, said where a patient is: then the file is no longer asked.
CREATE FUNCTION patient_moved_by_hand(asked text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM stay WHERE patient_id = asked AND (begun_by <> 'system' OR ended_by <> 'system'))
$$;

ALTER TABLE account DROP CONSTRAINT account_role_check,
    ADD CONSTRAINT account_role_check
        CHECK (role IN ('clinician', 'nurse', 'administrator', 'auditor', 'resident', 'client'));
