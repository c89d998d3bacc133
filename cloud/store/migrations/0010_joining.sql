-- How somebody without an account gets one, and how a lost password is replaced.

-- Whoever takes up a code without an account also tells what is on file of the patient; wrong tries end the code.
ALTER TABLE family_link ADD COLUMN wrong_tries integer NOT NULL DEFAULT 0 CHECK (wrong_tries >= 0);

-- A patient has one account, and one code at most waits for it. Of several from before, the one in use stays.
WITH ranked AS (
    SELECT link_id, row_number() OVER (PARTITION BY patient_id
                                       ORDER BY person_id IS NULL, lower(during) DESC, link_id) AS place
      FROM family_link WHERE relation = 'self' AND revoked_at IS NULL
)
UPDATE family_link l SET revoked_at = now(), revoked_by = 'system'
  FROM ranked r WHERE r.link_id = l.link_id AND r.place > 1;
CREATE UNIQUE INDEX one_own_account_per_patient ON family_link (patient_id)
    WHERE relation = 'self' AND revoked_at IS NULL;

-- An administrator ended the old password; the code lets its owner choose a new one.
CREATE TABLE password_reset (
    account_name text PRIMARY KEY REFERENCES account,
    code_hash    bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    ends_at      timestamptz NOT NULL,
    made_by      text NOT NULL,
    wrong_tries  integer NOT NULL DEFAULT 0 CHECK (wrong_tries >= 0)
);
