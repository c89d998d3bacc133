-- Failed attempts to prove again who one is are counted by session: a stranger's failures are none of them.
ALTER TABLE sign_in_failure
    DROP CONSTRAINT sign_in_failure_kind_check,
    ADD CONSTRAINT sign_in_failure_kind_check CHECK (kind IN ('account', 'client', 'source', 'step_up'));
