-- What a statement that is a transaction of its own demands of itself: where it is not so, nothing of it stays.
CREATE FUNCTION demand(is_so boolean, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF is_so IS NOT TRUE THEN
        RAISE EXCEPTION '%', what USING ERRCODE = 'QL001';
    END IF;
END
$$;
