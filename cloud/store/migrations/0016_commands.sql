-- What agents were told to do and how far they came, how their clocks stand, and which numbers are missing.

CREATE TABLE command (
    command_id  text PRIMARY KEY,
    agent       text NOT NULL REFERENCES agent,
    name        text NOT NULL,
    args        jsonb NOT NULL DEFAULT '{}',
    issued_by   text NOT NULL,
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL CHECK (expires_at > issued_at),
    state       text NOT NULL DEFAULT 'issued'
                CHECK (state IN ('issued', 'received', 'done', 'failed', 'expired')),
    received_at timestamptz,
    ended_at    timestamptz CHECK ((ended_at IS NULL) = (state IN ('issued', 'received'))),
    result      jsonb NOT NULL DEFAULT '{}',
    reason      text NOT NULL DEFAULT ''
);
CREATE INDEX command_by_agent ON command (agent, issued_at);
CREATE INDEX command_open ON command (issued_at) WHERE ended_at IS NULL;

-- The best sample of the last exchanges (RFC 5905). `offset_ms` is to be added to the agent's time; it is off by
-- half of `delay_ms` at most. `quality` is what disciplines the agent's clock; `since` when this clock was first
-- measured: it began with a start of the agent, or with a jump.
CREATE TABLE agent_clock (
    agent       text PRIMARY KEY REFERENCES agent,
    offset_ms   float8 NOT NULL,
    delay_ms    float8 NOT NULL CHECK (delay_ms >= 0),
    quality     text NOT NULL CHECK (quality IN ('ntp', 'rtc', 'none')),
    since       timestamptz NOT NULL,
    measured_at timestamptz NOT NULL CHECK (measured_at >= since)
);

-- Numbers of a lane that has moved on which never came: since when they are missed, and when they were asked for.
CREATE TABLE lane_hole (
    agent    text NOT NULL REFERENCES agent,
    lineage  text NOT NULL,
    lane     text NOT NULL,
    first_s  bigint NOT NULL,
    last_s   bigint NOT NULL CHECK (last_s >= first_s),
    seen_at  timestamptz NOT NULL,
    asked_at timestamptz,
    PRIMARY KEY (agent, lineage, lane, first_s)
);
CREATE INDEX lane_progress_with_holes ON lane_progress (agent) WHERE ahead <> '{}'::int8multirange;
