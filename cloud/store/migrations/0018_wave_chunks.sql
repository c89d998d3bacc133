-- Ten minutes of a wave in one row (`cloud/waves/chunk.py`), and where they lie once they are in the object store.
-- A block is of one form at a time, and moves in one direction: `wave_block`, a chunk here, a chunk in an object.

-- A block that is longer than a minute begins long before an interval that it reaches into.
CREATE INDEX wave_block_long ON wave_block (src, t0_us)
    WHERE n::float8 * rate_denominator > 60::float8 * rate_numerator;

-- `sealed_key` opens what salts of its chunks let open. `unused_since` is empty while a chunk lies in it.
CREATE TABLE wave_object (
    object_no    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    sealed_key   bytea NOT NULL,
    made_at      timestamptz NOT NULL,
    unused_since timestamptz
);
CREATE INDEX wave_object_unused ON wave_object (unused_since) WHERE unused_since IS NOT NULL;

-- `chunk_no` names the content: what is written anew has a new one. `until_us` is when its last sample ends.
CREATE TABLE wave_chunk (
    src        text    NOT NULL,
    stream     text    NOT NULL,
    begin_us   bigint  NOT NULL CHECK (begin_us % 600000000 = 0),
    until_us   bigint  NOT NULL,
    chunk_no   bigint  GENERATED ALWAYS AS IDENTITY UNIQUE,
    blocks     integer NOT NULL CHECK (blocks > 0),
    directory  bytea   NOT NULL,
    sections   bytea,
    object_no  bigint  REFERENCES wave_object,
    object_at  bigint,
    salt       bytea,
    PRIMARY KEY (src, stream, begin_us),
    CHECK (num_nulls(object_no, object_at, salt) = CASE WHEN sections IS NULL THEN 0 ELSE 3 END)
);
ALTER TABLE wave_chunk ALTER COLUMN sections SET STORAGE EXTERNAL;
CREATE INDEX wave_chunk_in_database ON wave_chunk (src, begin_us) WHERE sections IS NOT NULL;
CREATE INDEX wave_chunk_in_object ON wave_chunk (object_no) WHERE object_no IS NOT NULL;
