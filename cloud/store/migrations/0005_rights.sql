-- Who may see whom (docs/decisions/0006-who-may-see.md). Being in the same organisation is no right.
-- Classes of what is told of a person: general < sensitive < highly_sensitive.

CREATE INDEX patient_by_site ON patient (site_id);
CREATE INDEX IF NOT EXISTS patient_by_location ON patient (location_id);

-- The same constraint with the person first: its index then finds who is on duty now, and the planner prefers it.
-- With the team first it would be read from end to end for every question.
ALTER TABLE duty
    DROP CONSTRAINT no_overlapping_duty,
    ADD CONSTRAINT no_overlapping_duty
        EXCLUDE USING gist (person_id WITH =, team_id WITH =, during WITH &&);

-- Which location lies in which, itself included: kept by a trigger, so that a right needs no recursion.
CREATE TABLE location_within (
    location_id text NOT NULL REFERENCES location ON DELETE CASCADE,
    ancestor_id text NOT NULL REFERENCES location ON DELETE CASCADE,
    PRIMARY KEY (location_id, ancestor_id)
);
CREATE INDEX location_within_by_ancestor ON location_within (ancestor_id);

CREATE FUNCTION keep_location_within() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved text[];
BEGIN
    WITH RECURSIVE below (location_id) AS (
        SELECT NEW.location_id
        UNION
        SELECT l.location_id FROM below b JOIN location l ON l.part_of = b.location_id
    )
    SELECT array_agg(location_id) INTO moved FROM below;
    DELETE FROM location_within WHERE location_id = ANY (moved);
    WITH RECURSIVE above (location_id, ancestor_id) AS (
        SELECT id, id FROM unnest(moved) AS id
        UNION
        SELECT a.location_id, l.part_of FROM above a JOIN location l ON l.location_id = a.ancestor_id
         WHERE l.part_of IS NOT NULL
    )
    INSERT INTO location_within SELECT location_id, ancestor_id FROM above;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_location_within AFTER INSERT OR UPDATE OF part_of ON location
    FOR EACH ROW EXECUTE FUNCTION keep_location_within();

INSERT INTO location_within
WITH RECURSIVE above (location_id, ancestor_id) AS (
    SELECT location_id, location_id FROM location
    UNION
    SELECT a.location_id, l.part_of FROM above a JOIN location l ON l.location_id = a.ancestor_id
     WHERE l.part_of IS NOT NULL
)
SELECT location_id, ancestor_id FROM above;

-- Who has to do with a patient and why. Other rooms write their kinds; `origin` names what it follows from.
-- A relation is ended, never deleted. One to an organisation reaches those who care for people there.
-- `person_id` is whoever asks: also another system, which is no row of `person`.
CREATE TABLE care_relation (
    care_relation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind             text NOT NULL CHECK (kind IN ('care', 'encounter', 'referral', 'consultation', 'trip')),
    patient_id       text NOT NULL REFERENCES patient,
    person_id        text,
    organisation_id  text REFERENCES organisation,
    during           tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    origin           text NOT NULL,
    CHECK (num_nonnulls(person_id, organisation_id) = 1)
);
CREATE INDEX care_relation_by_patient ON care_relation (patient_id);
CREATE INDEX care_relation_by_person ON care_relation (person_id) WHERE person_id IS NOT NULL;
CREATE INDEX care_relation_by_organisation ON care_relation (organisation_id) WHERE organisation_id IS NOT NULL;

-- `text_*` say which words were agreed to (cloud/rights/consent_texts); `given_by` is empty on paper.
CREATE TABLE consent (
    consent_id      text PRIMARY KEY,
    patient_id      text NOT NULL REFERENCES patient,
    capacity        text NOT NULL CHECK (capacity IN ('patient', 'guardian')),
    given_by        text NOT NULL,
    recorded_by     text NOT NULL,
    person_id       text REFERENCES person,
    organisation_id text REFERENCES organisation,
    purposes        text[] NOT NULL CHECK (cardinality(purposes) > 0),
    up_to           text NOT NULL CHECK (up_to IN ('general', 'sensitive', 'highly_sensitive')),
    text_name       text NOT NULL,
    text_version    integer NOT NULL,
    text_language   text NOT NULL CHECK (text_language IN ('zh', 'en')),
    text_sha256     bytea NOT NULL CHECK (octet_length(text_sha256) = 32),
    signature       text NOT NULL,
    during          tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    withdrawn_at    timestamptz,
    withdrawn_by    text,
    CHECK (num_nonnulls(person_id, organisation_id) = 1),
    CHECK (num_nulls(withdrawn_at, withdrawn_by) IN (0, 2))
);
CREATE INDEX consent_by_patient ON consent (patient_id);
CREATE INDEX consent_by_person ON consent (person_id) WHERE person_id IS NOT NULL;
CREATE INDEX consent_by_organisation ON consent (organisation_id) WHERE organisation_id IS NOT NULL;

-- Whose accounts may see a patient at home. Made with a code that somebody hands over, then taken up with it.
CREATE TABLE family_link (
    link_id      text PRIMARY KEY,
    relation     text NOT NULL CHECK (relation IN ('self', 'guardian', 'family')),
    patient_id   text NOT NULL REFERENCES patient,
    person_id    text REFERENCES person,
    grade        text NOT NULL CHECK (grade IN ('notices', 'numbers', 'everything')),
    proof        text NOT NULL,
    code_hash    bytea NOT NULL UNIQUE CHECK (octet_length(code_hash) = 32),
    code_ends_at timestamptz NOT NULL,
    during       tstzrange NOT NULL CHECK (NOT lower_inf(during)),
    made_by      text NOT NULL,
    revoked_at   timestamptz,
    revoked_by   text,
    CHECK (relation <> 'guardian' OR proof <> ''),
    CHECK (relation = 'family' OR grade = 'everything'),
    CHECK (num_nulls(revoked_at, revoked_by) IN (0, 2))
);
CREATE INDEX family_link_by_patient ON family_link (patient_id);
CREATE INDEX family_link_by_person ON family_link (person_id) WHERE person_id IS NOT NULL;

-- Somebody looked without another right, and said why; somebody else says whether that was in order.
CREATE TABLE break_glass (
    break_glass_id  text PRIMARY KEY,
    patient_id      text NOT NULL REFERENCES patient,
    person_id       text NOT NULL REFERENCES person,
    role            text NOT NULL,
    organisation_id text NOT NULL REFERENCES organisation,
    category        text NOT NULL CHECK (category IN
                    ('life_threat', 'unconscious', 'handover_gap', 'public_health', 'other')),
    reason          text NOT NULL,
    during          tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    reviewed_at     timestamptz,
    reviewed_by     text,
    verdict         text CHECK (verdict IN ('justified', 'not_justified')),
    note            text,
    CHECK (num_nulls(reviewed_at, reviewed_by, verdict, note) IN (0, 4))
);
CREATE INDEX break_glass_by_patient ON break_glass (patient_id);
CREATE INDEX break_glass_by_person ON break_glass (person_id);
CREATE INDEX break_glass_to_review ON break_glass (organisation_id) WHERE reviewed_at IS NULL;

-- What a patient must be told. Written with what it tells of; channels come later and note `told_at`.
CREATE TABLE patient_notice (
    notice_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id      text NOT NULL REFERENCES patient,
    kind            text NOT NULL CHECK (kind IN ('break_glass', 'break_glass_reviewed')),
    about           text NOT NULL,
    written_at      timestamptz NOT NULL,
    told_at         timestamptz
);
CREATE INDEX patient_notice_by_patient ON patient_notice (patient_id);
CREATE INDEX patient_notice_untold ON patient_notice (written_at) WHERE told_at IS NULL;

-- A row keeps what it said when it was written; only the columns that end or judge it may be filled, once.
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - TG_ARGV IS DISTINCT FROM to_jsonb(OLD) - TG_ARGV
       OR to_jsonb(OLD) ->> TG_ARGV[0] IS NOT NULL THEN
        RAISE EXCEPTION 'changing a row of % is refused: it is a record', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
-- Nor is it deleted, but with the whole person, where the law allows it (cloud/retention).
CREATE FUNCTION refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('qianli.erasing', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION '% on % is refused: it is a record', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER never_deleted BEFORE DELETE OR TRUNCATE ON consent
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_deletion();
CREATE TRIGGER never_rewritten BEFORE UPDATE ON consent
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting('withdrawn_at', 'withdrawn_by');
CREATE TRIGGER never_deleted BEFORE DELETE OR TRUNCATE ON break_glass
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_deletion();
CREATE TRIGGER never_rewritten BEFORE UPDATE ON break_glass
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting('reviewed_at', 'reviewed_by', 'verdict', 'note');

-- Of each asked patient all that mean the same person now: merges that hold, followed both ways.
CREATE FUNCTION same_people(asked_patients text[]) RETURNS TABLE (asked text, patient_id text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE member (asked, patient_id) AS (
        SELECT one, one FROM unnest(asked_patients) AS one
        UNION
        SELECT k.asked, n.patient_id
          FROM member k
         CROSS JOIN LATERAL (
               SELECT m.survivor_id AS patient_id FROM patient_merge m
                WHERE m.merged_id = k.patient_id AND m.unmerged_at IS NULL
               UNION ALL
               SELECT m.merged_id FROM patient_merge m
                WHERE m.survivor_id = k.patient_id AND m.unmerged_at IS NULL) n
    )
    SELECT asked, patient_id FROM member
$$;
-- The rights themselves, one branch each, without merges. It is inlined, so a condition on patient_id
-- reaches the index of each branch; such a condition must be a value, for a function would be run for every row.
CREATE FUNCTION direct_sight(
    asking_person text, asking_role text, asking_organisation text, asked_at timestamptz
) RETURNS TABLE (patient_id text, basis text, data_class text) LANGUAGE sql STABLE AS $$
    SELECT p.patient_id, 'system'::text, 'highly_sensitive'::text
      FROM patient p WHERE asking_role = 'system'
    UNION ALL
    SELECT p.patient_id, 'duty'::text, 'sensitive'::text
      FROM duty d
      JOIN team t ON t.team_id = d.team_id AND (t.closed_at IS NULL OR t.closed_at > asked_at)
      JOIN team_place tp ON tp.team_id = t.team_id AND tp.location_id IS NULL
      JOIN patient p ON p.site_id = tp.site_id
     WHERE d.person_id = asking_person AND d.during @> asked_at AND asking_role IN ('clinician', 'nurse')
    UNION ALL
    SELECT p.patient_id, 'duty'::text, 'sensitive'::text
      FROM duty d
      JOIN team t ON t.team_id = d.team_id AND (t.closed_at IS NULL OR t.closed_at > asked_at)
      JOIN team_place tp ON tp.team_id = t.team_id
      JOIN location_within w ON w.ancestor_id = tp.location_id
      JOIN patient p ON p.location_id = w.location_id
     WHERE d.person_id = asking_person AND d.during @> asked_at AND asking_role IN ('clinician', 'nurse')
    UNION ALL
    SELECT c.patient_id, c.kind,
           CASE c.kind WHEN 'care' THEN 'highly_sensitive'::text ELSE 'sensitive'::text END
      FROM care_relation c
     WHERE c.person_id = asking_person AND c.during @> asked_at
       AND asking_role IN ('clinician', 'nurse', 'client')
    UNION ALL
    SELECT c.patient_id, c.kind,
           CASE c.kind WHEN 'care' THEN 'highly_sensitive'::text ELSE 'sensitive'::text END
      FROM care_relation c
     WHERE c.organisation_id = asking_organisation AND c.during @> asked_at
       AND asking_role IN ('clinician', 'nurse', 'client')
    UNION ALL
    SELECT c.patient_id, 'consent'::text, c.up_to
      FROM consent c
     WHERE (c.person_id = asking_person OR c.organisation_id = asking_organisation)
       AND c.during @> asked_at AND (c.withdrawn_at IS NULL OR c.withdrawn_at > asked_at)
       AND CASE asking_role WHEN 'client' THEN 'operation' ELSE 'care' END = ANY (c.purposes)
       AND asking_role IN ('clinician', 'nurse', 'client')
    UNION ALL
    SELECT l.patient_id, CASE l.relation WHEN 'self' THEN 'self'::text ELSE 'family'::text END,
           CASE l.grade WHEN 'numbers' THEN 'general'::text ELSE 'highly_sensitive'::text END
      FROM family_link l
     WHERE l.person_id = asking_person AND l.during @> asked_at AND l.grade <> 'notices'
       AND (l.revoked_at IS NULL OR l.revoked_at > asked_at) AND asking_role = 'resident'
    UNION ALL
    SELECT b.patient_id, 'break_glass'::text, 'highly_sensitive'::text
      FROM break_glass b
     WHERE b.person_id = asking_person AND b.during @> asked_at AND asking_role IN ('clinician', 'nurse')
$$;

-- Everybody whom somebody may see, also through merges: a right to one record is a right to the whole person.
CREATE FUNCTION sight(
    asking_person text, asking_role text, asking_organisation text, asked_at timestamptz
) RETURNS TABLE (patient_id text, basis text, data_class text) LANGUAGE sql STABLE AS $$
    SELECT s.patient_id, s.basis, s.data_class
      FROM direct_sight(asking_person, asking_role, asking_organisation, asked_at) s
    UNION ALL
    SELECT k.patient_id, s.basis, s.data_class
      FROM direct_sight(asking_person, asking_role, asking_organisation, asked_at) s
     CROSS JOIN LATERAL same_people(ARRAY[s.patient_id]) k
     WHERE k.patient_id <> s.patient_id
       AND s.patient_id IN (SELECT merged_id FROM patient_merge WHERE unmerged_at IS NULL
                            UNION ALL
                            SELECT survivor_id FROM patient_merge WHERE unmerged_at IS NULL)
$$;

-- The same for a list of patients, by index. One plan is kept for all askers, for planning costs more than asking.
CREATE FUNCTION sight_among(
    asking_person text, asking_role text, asking_organisation text, asked_patients text[],
    asked_at timestamptz
) RETURNS TABLE (patient_id text, basis text, data_class text)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    of_people text[] := (SELECT array_agg(DISTINCT k.patient_id) FROM same_people(asked_patients) k);
BEGIN
    RETURN QUERY
    SELECT k.asked, s.basis, s.data_class
      FROM direct_sight(asking_person, asking_role, asking_organisation, asked_at) s
      JOIN same_people(asked_patients) k ON k.patient_id = s.patient_id
     WHERE s.patient_id = ANY (of_people);
END
$$;

-- The same for one patient, as a condition of a query.
CREATE FUNCTION may_see(
    asking_person text, asking_role text, asking_organisation text, asked_patient text, asked_at timestamptz
) RETURNS boolean LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    of_person text[] := ARRAY[asked_patient];
BEGIN
    IF EXISTS (SELECT FROM patient_merge WHERE merged_id = asked_patient AND unmerged_at IS NULL)
       OR EXISTS (SELECT FROM patient_merge WHERE survivor_id = asked_patient AND unmerged_at IS NULL) THEN
        of_person := (SELECT array_agg(k.patient_id) FROM same_people(ARRAY[asked_patient]) k);
    END IF;
    RETURN EXISTS (
        SELECT FROM direct_sight(asking_person, asking_role, asking_organisation, asked_at) s
         WHERE s.patient_id = ANY (of_person));
END
$$;

-- By which right somebody looked stands in the entry; entries of before have none (cloud/audit/model.py).
ALTER TABLE audit_entry ADD COLUMN basis text NOT NULL DEFAULT '';
CREATE INDEX audit_entry_by_target ON audit_entry (target_id, sequence) WHERE target_kind = 'patient';
CREATE INDEX audit_entry_by_person ON audit_entry (person, sequence);
