-- A patient is also told of a consent that staff recorded, as one that was given on paper.
ALTER TABLE patient_notice
    DROP CONSTRAINT patient_notice_kind_check,
    ADD CONSTRAINT patient_notice_kind_check
        CHECK (kind IN ('break_glass', 'break_glass_reviewed', 'consent_recorded'));
