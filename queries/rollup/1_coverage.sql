-- rollup, first step: how much of each hour was listened to, for the hours in `touched_coverage`. Idempotent.
-- Coverage is the union of [covers_from, started_at] of the polls that worked, per stream and hour.
CREATE OR REPLACE TEMP TABLE fresh_coverage AS
    WITH since AS (
        SELECT source, stream, date_trunc('hour', min(from_at)) AS from_hour FROM touched_coverage GROUP BY ALL
    ), spans AS (
        SELECT polls.source, polls.stream, greatest(polls.covers_from, since.from_hour) AS from_at, polls.started_at AS to_at, since.from_hour
        FROM polls JOIN since USING (source, stream)
        WHERE polls.up = 1 AND polls.covers_from IS NOT NULL AND polls.started_at > since.from_hour AND polls.covers_from < polls.started_at
    ), ordered AS (
        SELECT source, stream, from_at, to_at,
               max(to_at) OVER (PARTITION BY source, stream ORDER BY from_at, to_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
        FROM spans
    ), disjoint AS (
        SELECT source, stream, greatest(from_at, coalesce(reached, from_at)) AS from_at, to_at FROM ordered
        WHERE reached IS NULL OR to_at > reached
    ), cut AS (
        SELECT source, stream, unnest(generate_series(date_trunc('hour', from_at), date_trunc('hour', to_at - INTERVAL 1 MICROSECOND), INTERVAL 1 HOUR)) AS hour_start, from_at, to_at
        FROM disjoint
    )
    SELECT source, stream, hour_start,
           -- whole microseconds add up to the same in any order
           sum(epoch_us(least(to_at, hour_start + INTERVAL 1 HOUR)) - epoch_us(greatest(from_at, hour_start))) / 3600000000 AS up
    FROM cut GROUP BY ALL;
DELETE FROM coverage_hours USING (SELECT source, stream, date_trunc('hour', min(from_at)) AS from_hour FROM touched_coverage GROUP BY ALL) AS since
    WHERE coverage_hours.source = since.source AND coverage_hours.stream = since.stream AND coverage_hours.hour_start >= since.from_hour;
INSERT INTO coverage_hours SELECT source, stream, hour_start, up FROM fresh_coverage ORDER BY hour_start, source, stream;

-- What was touched, and from where on: between a stream's last covered hour and its next one it was deaf, which is known only now.
CREATE OR REPLACE TEMP TABLE touched_days AS SELECT DISTINCT symbol, day FROM touched;
CREATE OR REPLACE TEMP TABLE relisten_from AS
    SELECT date_trunc('day', least((SELECT min(day)::TIMESTAMP FROM touched_days), min(deaf.from_at))) AS from_at
    FROM (SELECT since.from_hour, least(since.from_hour, max(coverage_hours.hour_start) + INTERVAL 1 HOUR) AS from_at
          FROM (SELECT source, stream, date_trunc('hour', min(from_at)) AS from_hour FROM touched_coverage GROUP BY ALL) AS since
          LEFT JOIN coverage_hours ON coverage_hours.source = since.source AND coverage_hours.stream = since.stream AND coverage_hours.hour_start < since.from_hour
          GROUP BY since.source, since.stream, since.from_hour) AS deaf;

-- heard_up: the listened share of each hour and of each day from then on, by source ('*' for all together). symbol is NULL for
-- the streams that carry any symbol; a symbol with streams of its own is heard on both.
CREATE OR REPLACE TEMP TABLE heard_hours AS
    WITH heard AS MATERIALIZED (
        SELECT * FROM listening((SELECT from_at FROM relisten_from), (SELECT coalesce(max(hour_start), TIMESTAMP '1990-01-01') + INTERVAL 1 HOUR FROM coverage_hours))
    )
    SELECT own.symbol, own.source, own.hour_start,
           (own.up + CASE WHEN own.symbol IS NULL THEN 0 ELSE coalesce(open.up, 0) END) / (own.streams + CASE WHEN own.symbol IS NULL THEN 0 ELSE coalesce(open.streams, 0) END) AS up
    FROM heard AS own LEFT JOIN heard AS open ON open.symbol IS NULL AND open.source = own.source AND open.hour_start = own.hour_start;
CREATE OR REPLACE TEMP TABLE heard_up AS
    WITH own AS (
        SELECT DISTINCT symbol, source FROM heard_hours WHERE symbol IS NOT NULL
    ), every_hour AS (
        SELECT symbol, source, hour_start, up FROM heard_hours
        UNION ALL
        SELECT own.symbol, open.source, open.hour_start, open.up FROM heard_hours AS open JOIN own ON own.source = open.source
        WHERE open.symbol IS NULL AND NOT EXISTS (
            SELECT 1 FROM heard_hours AS mine WHERE mine.symbol = own.symbol AND mine.source = open.source AND mine.hour_start = open.hour_start)
    )
    SELECT symbol, source, false AS is_day, hour_start AS slot_start, up FROM heard_hours
    UNION ALL
    SELECT symbol, source, true, date_trunc('day', hour_start), sum(up::DECIMAL(18, 15))::DOUBLE / 24 FROM every_hour GROUP BY ALL;

-- The buckets of touched symbol-days go; the others learn what is now known of who was listened to.
DELETE FROM buckets USING touched_days
    WHERE buckets.symbol = touched_days.symbol AND buckets.bucket_start >= touched_days.day AND buckets.bucket_start < touched_days.day + INTERVAL 1 DAY;
UPDATE buckets SET up = fresh.up FROM (
    SELECT here.symbol, here.source, here.bucket_width, here.bucket_start, coalesce(own.up, open.up, 0) AS up
    FROM buckets AS here
    LEFT JOIN heard_up AS own ON own.symbol = here.symbol AND own.source = here.source AND own.is_day = (here.bucket_width = INTERVAL 1 DAY)
          AND own.slot_start = date_trunc('hour', here.bucket_start)
    LEFT JOIN heard_up AS open ON open.symbol IS NULL AND open.source = here.source AND open.is_day = (here.bucket_width = INTERVAL 1 DAY)
          AND open.slot_start = date_trunc('hour', here.bucket_start)
    WHERE here.bucket_start >= (SELECT from_at FROM relisten_from) AND here.up IS DISTINCT FROM coalesce(own.up, open.up, 0)) AS fresh
    WHERE buckets.symbol = fresh.symbol AND buckets.source = fresh.source AND buckets.bucket_width = fresh.bucket_width AND buckets.bucket_start = fresh.bucket_start;

-- Baselines look back only: those of later days are made again when they are next asked for.
DELETE FROM market_days WHERE day > (SELECT from_at::DATE FROM relisten_from);
DELETE FROM symbol_days WHERE day > (SELECT from_at::DATE FROM relisten_from);
DELETE FROM hour_scales WHERE day > (SELECT from_at::DATE FROM relisten_from);
DELETE FROM hour_scale_days WHERE day > (SELECT from_at::DATE FROM relisten_from);
