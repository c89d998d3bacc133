-- Continuous values: messages as they came while they are young, an hour of a source in one row later; and the
-- newest value of every key. What lies in `observation` stays there: readers unite all three.

ALTER TABLE source ADD COLUMN src_no integer GENERATED ALWAYS AS IDENTITY UNIQUE;
ALTER TABLE lane_progress ADD COLUMN lane_no integer GENERATED ALWAYS AS IDENTITY UNIQUE;

-- `payload` is the vitals batch of the wire contract; `t0_ms` and `until_ms` are the first and the last measured
-- time in it, `shift_us` is what `clock_shift` is for `observation`. Times are counted from the Unix epoch.
CREATE TABLE series_batch (
    src_no    integer NOT NULL,
    lane_no   integer NOT NULL,
    t0_ms     bigint  NOT NULL,
    s         bigint  NOT NULL,
    until_ms  bigint  NOT NULL CHECK (until_ms BETWEEN t0_ms AND t0_ms + 600000),
    stored_us bigint  NOT NULL,
    shift_us  bigint  NOT NULL,
    payload   bytea   NOT NULL,
    PRIMARY KEY (src_no, t0_ms, lane_no, s)
);
ALTER TABLE series_batch ALTER COLUMN payload SET STORAGE MAIN;
CREATE INDEX series_batch_in_doubt ON series_batch (src_no, t0_ms) WHERE shift_us <> 0;

-- All values of a source that were measured in one hour (`cloud/series/chunk.py`), and of every minute and of the
-- hour their number, extremes, sum, first and last (`cloud/series/rollup.py`).
CREATE TABLE series_chunk (
    src_no     integer NOT NULL,
    hour_ms    bigint  NOT NULL CHECK (hour_ms % 3600000 = 0),
    first_ms   bigint  NOT NULL,
    last_ms    bigint  NOT NULL,
    n          integer NOT NULL,
    is_shifted boolean NOT NULL,
    cells      bytea   NOT NULL,
    minutes    bytea   NOT NULL,
    whole      bytea   NOT NULL,
    PRIMARY KEY (src_no, hour_ms)
);
CREATE INDEX series_chunk_in_doubt ON series_chunk (src_no, hour_ms) WHERE is_shifted;
ALTER TABLE series_chunk
    ALTER COLUMN cells SET STORAGE EXTERNAL,
    ALTER COLUMN minutes SET STORAGE EXTERNAL,
    ALTER COLUMN whole SET STORAGE EXTERNAL;

-- Of each source the newest value of every key by measured time, wherever it lies, as JSON; `version` counts the
-- writings, so that a writer notices when another has written.
CREATE TABLE latest (
    src_no  integer PRIMARY KEY,
    version bigint  NOT NULL,
    cells   bytea   NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE latest ALTER COLUMN cells SET STORAGE MAIN;

INSERT INTO latest (src_no, version, cells)
WITH RECURSIVE pair AS (
    SELECT s.src_no, s.src, (SELECT min(o.key) FROM observation o WHERE o.src = s.src) AS key FROM source s
    UNION ALL
    SELECT src_no, src, (SELECT min(o.key) FROM observation o WHERE o.src = pair.src AND o.key > pair.key)
      FROM pair WHERE key IS NOT NULL)
SELECT pair.src_no, 1, convert_to(json_agg(json_build_array(
           o.key, o.value, o.unit,
           floor(extract(epoch FROM o.measured_at) * 1000000)::bigint,
           floor(extract(epoch FROM o.received_at) * 1000000)::bigint,
           floor(extract(epoch FROM o.stored_at) * 1000000)::bigint,
           o.quality, o.flags, o.late,
           floor(extract(epoch FROM o.clock_shift) * 1000000)::bigint))::text, 'UTF8')
  FROM pair CROSS JOIN LATERAL (
       SELECT * FROM observation x WHERE x.src = pair.src AND x.key = pair.key
        ORDER BY x.measured_at DESC LIMIT 1) o
 WHERE isfinite(o.measured_at) AND isfinite(o.received_at) AND isfinite(o.stored_at)
 GROUP BY pair.src_no;
