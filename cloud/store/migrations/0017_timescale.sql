-- Where TimescaleDB is: continuous values in hypertables, and what each minute held of them in its columnstore.
-- `arrange_series` is asked at every start, so an extension that is created later is used from then on.
-- It returns how continuous values lie: `plain`, perhaps with the reason, or `timescaledb` with its version.

CREATE FUNCTION arrange_series() RETURNS text LANGUAGE plpgsql AS $arrange$
DECLARE
    found text := (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    IF to_regclass('series_minute') IS NOT NULL THEN
        RETURN 'timescaledb ' || found;
    ELSIF found IS NULL THEN
        RETURN 'plain';
    ELSIF string_to_array(split_part(found, '-', 1), '.')::int[] < '{2,29,2}'::int[] THEN
        RETURN 'plain: timescaledb ' || found || ' is older than 2.29.2';
    ELSIF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale' THEN
        RETURN 'plain: timescaledb ' || found || ' runs without its columnstore (timescaledb.license)';
    END IF;

    -- Messages are emptied into hours, so a day of them is soon dropped whole. Hours stay for years.
    PERFORM create_hypertable('series_batch', by_range('t0_ms', 86400000::bigint),
                              create_default_indexes => false, migrate_data => true);
    PERFORM create_hypertable('series_chunk', by_range('hour_ms', 2592000000::bigint),
                              create_default_indexes => false, migrate_data => true);

    -- What `series_chunk.minutes` holds, for SQL. Only of hours whose times are beyond doubt.
    CREATE TABLE series_minute (
        src_no  integer          NOT NULL,
        key     text             NOT NULL,
        unit    text             NOT NULL,
        minute  timestamptz      NOT NULL,
        n       integer          NOT NULL,
        lowest  double precision NOT NULL,
        highest double precision NOT NULL,
        total   double precision NOT NULL,
        first   double precision NOT NULL,
        last    double precision NOT NULL
    );
    CREATE INDEX series_minute_by_source ON series_minute (src_no, minute);
    PERFORM create_hypertable('series_minute', by_range('minute', interval '1 day'),
                              create_default_indexes => false);
    ALTER TABLE series_minute SET (
        timescaledb.enable_columnstore,
        timescaledb.segmentby = 'src_no, key, unit',
        timescaledb.orderby = 'minute'
    );

    -- Hours of before, whose minutes are still to be listed there.
    CREATE TABLE series_unlisted (
        src_no  integer NOT NULL,
        hour_ms bigint  NOT NULL,
        PRIMARY KEY (src_no, hour_ms)
    );
    INSERT INTO series_unlisted SELECT src_no, hour_ms FROM series_chunk;
    RETURN 'timescaledb ' || found;
END
$arrange$;

-- A database that holds nothing yet takes the extension if the server has loaded it. Any other waits until its
-- owner says CREATE EXTENSION, for the stored values are then moved.
DO $extend$
BEGIN
    IF current_setting('timescaledb.disable_load', true) IS NOT NULL
       AND EXISTS (SELECT FROM pg_available_extensions
                    WHERE name = 'timescaledb' AND installed_version IS NULL)
       AND NOT EXISTS (SELECT FROM source)
    THEN
        CREATE EXTENSION timescaledb;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'timescaledb is there, and this role may not create it: %', SQLERRM;
END
$extend$;
