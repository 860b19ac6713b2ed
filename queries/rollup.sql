-- rollup: facts -> buckets, for the symbol-days in `touched` and the hours in `touched_coverage`. Idempotent:
-- what a touched symbol-day held is thrown away and made again from the facts. Run in one transaction.

-- 1. coverage of the hours that new polls reach into: union of [covers_from, started_at] per stream and hour
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

-- 2. buckets of the touched symbol-days, three widths, each source and all together
CREATE OR REPLACE TEMP TABLE fresh_days AS SELECT DISTINCT symbol, day FROM touched;
DELETE FROM buckets USING fresh_days
    WHERE buckets.symbol = fresh_days.symbol AND buckets.bucket_start >= fresh_days.day AND buckets.bucket_start < fresh_days.day + INTERVAL 1 DAY;
CREATE OR REPLACE TEMP TABLE fresh_mentions AS
    SELECT marked.* FROM marked_between((SELECT min(day)::TIMESTAMP FROM fresh_days), (SELECT max(day)::TIMESTAMP + INTERVAL 1 DAY FROM fresh_days)) AS marked
    JOIN fresh_days ON fresh_days.symbol = marked.symbol AND fresh_days.day = marked.created_at::DATE;
INSERT INTO buckets
    SELECT symbol, coalesce(source, '*') AS source, width.bucket_width, time_bucket(width.bucket_width, created_at, TIMESTAMP '2000-01-01') AS bucket_start,
           count(*), count(*) FILTER (NOT copied), count(DISTINCT author), count(DISTINCT text_key),
           count(*) FILTER (NOT copied AND stance = 1), count(*) FILTER (NOT copied AND stance = -1), count(*) FILTER (NOT copied AND stance = 0),
           count(*) FILTER (label = 1), count(*) FILTER (label = -1),
           -- in the order of time, so that a sum of doubles is the same to the last digit whoever arrived first
           coalesce(list_sum(list(tone ORDER BY created_at, source, message_id) FILTER (NOT copied)), 0),
           coalesce(list_sum(list(tone * tone ORDER BY created_at, source, message_id) FILTER (NOT copied)), 0),
           count(*) FILTER (reshare), NULL
    FROM fresh_mentions CROSS JOIN (VALUES (INTERVAL 5 MINUTE), (INTERVAL 1 HOUR), (INTERVAL 1 DAY)) AS width (bucket_width)
    GROUP BY GROUPING SETS ((symbol, source, width.bucket_width, bucket_start), (symbol, width.bucket_width, bucket_start))
    ORDER BY bucket_start, symbol, source, width.bucket_width;

-- 3. how much of each touched bucket was listened to: streams of the symbol and streams that carry any symbol
-- From where on: between a stream's last covered hour and its next one it was deaf, which is known only now.
CREATE OR REPLACE TEMP TABLE relisten_from AS
    SELECT date_trunc('day', least((SELECT min(day)::TIMESTAMP FROM fresh_days), min(deaf.from_at))) AS from_at
    FROM (SELECT since.from_hour, least(since.from_hour, max(coverage_hours.hour_start) + INTERVAL 1 HOUR) AS from_at
          FROM (SELECT source, stream, date_trunc('hour', min(from_at)) AS from_hour FROM touched_coverage GROUP BY ALL) AS since
          LEFT JOIN coverage_hours ON coverage_hours.source = since.source AND coverage_hours.stream = since.stream AND coverage_hours.hour_start < since.from_hour
          GROUP BY since.source, since.stream, since.from_hour) AS deaf;
CREATE OR REPLACE TEMP TABLE heard AS
    SELECT * FROM listening((SELECT from_at FROM relisten_from), (SELECT coalesce(max(hour_start), TIMESTAMP '1990-01-01') + INTERVAL 1 HOUR FROM coverage_hours));
UPDATE buckets SET up = fresh.up FROM (
    SELECT symbol, source, bucket_width, bucket_start, sum(share::DECIMAL(18, 15))::DOUBLE / count(*) AS up FROM (
        SELECT here.symbol, here.source, here.bucket_width, here.bucket_start, here.hour_start,
               coalesce((coalesce(any_value(own.up), 0) + coalesce(any_value(open.up), 0))
                        / nullif(coalesce(any_value(own.streams), 0) + coalesce(any_value(open.streams), 0), 0), 0) AS share
        FROM (SELECT symbol, source, bucket_width, bucket_start,
                     unnest(generate_series(date_trunc('hour', bucket_start), date_trunc('hour', bucket_start + bucket_width - INTERVAL 1 MICROSECOND), INTERVAL 1 HOUR)) AS hour_start
              FROM buckets WHERE bucket_start >= (SELECT from_at FROM relisten_from)) AS here
        LEFT JOIN heard AS own ON own.symbol = here.symbol AND own.source = here.source AND own.hour_start = here.hour_start
        LEFT JOIN heard AS open ON open.symbol IS NULL AND open.source = here.source AND open.hour_start = here.hour_start
        GROUP BY ALL) GROUP BY ALL) AS fresh
    WHERE buckets.symbol = fresh.symbol AND buckets.source = fresh.source AND buckets.bucket_width = fresh.bucket_width
      AND buckets.bucket_start = fresh.bucket_start AND buckets.up IS DISTINCT FROM fresh.up;

-- 4. baselines look back only: those of later days are made again when they are next asked for
DELETE FROM market_days WHERE day > (SELECT from_at::DATE FROM relisten_from);
DELETE FROM symbol_days WHERE day > (SELECT from_at::DATE FROM relisten_from);
