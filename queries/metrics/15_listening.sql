-- listening(since_at, until_at): for each hour, how much of it was listened to, for whom.
-- One row per (symbol, source, hour): symbol is NULL for streams that may carry any symbol, source is '*' for all
-- sources together; `streams` streams existed, `up` of them (a sum of shares) was covered by polls.
-- What a backfill has read of a stream (`backfill/NAME`) was listened to on that stream.
-- A stream exists from its first covered hour to its last; in between, an hour without a poll is deafness, not silence.
-- Shares are summed as decimals, here and in what follows: the same sum to the last digit in whatever order rows lie.
CREATE OR REPLACE MACRO listening(since_at, until_at) AS TABLE
    WITH known AS (
        SELECT source, CASE WHEN starts_with(stream, 'backfill/') THEN substr(stream, 10) ELSE stream END AS stream, hour_start,
               least(1, sum(up::DECIMAL(18, 15))::DOUBLE) AS up
        FROM coverage_hours GROUP BY ALL
    ), alive AS (
        SELECT source, stream, CASE WHEN starts_with(stream, 'symbol/') THEN upper(substr(stream, 8)) END AS symbol,
               min(hour_start) AS first_hour, max(hour_start) AS last_hour
        FROM known GROUP BY source, stream
    ), hours AS (
        SELECT unnest(generate_series(date_trunc('hour', since_at), date_trunc('hour', until_at - INTERVAL 1 MICROSECOND), INTERVAL 1 HOUR)) AS hour_start
    ), each AS (
        SELECT alive.symbol, alive.source, hours.hour_start, coalesce(covered.up, 0) AS up
        FROM hours JOIN alive ON hours.hour_start BETWEEN alive.first_hour AND alive.last_hour
        LEFT JOIN known AS covered
          ON covered.source = alive.source AND covered.stream = alive.stream AND covered.hour_start = hours.hour_start
    )
    SELECT symbol, source, hour_start, count(*) AS streams, sum(up::DECIMAL(18, 15))::DOUBLE AS up FROM each GROUP BY ALL
    UNION ALL
    SELECT symbol, '*', hour_start, count(*), sum(up::DECIMAL(18, 15))::DOUBLE FROM each GROUP BY ALL;

-- listened_shares(since_at, until_at): the share of each hour that was listened to, by who is heard: a symbol with streams of its
-- own is heard on those and on the streams that carry any symbol; '*' stands for all other symbols, which are heard on the latter, failing
-- those on whatever there is. Example: FROM listened_shares(TIMESTAMP '2026-11-21', TIMESTAMP '2026-11-22') WHERE listener = '*';
CREATE OR REPLACE MACRO listened_shares(since_at, until_at) AS TABLE
    WITH hearing AS MATERIALIZED (
        SELECT symbol, hour_start, streams, up FROM listening(since_at, until_at) WHERE source = '*'
    ), by_hour AS (
        SELECT hour_start, sum(streams) FILTER (symbol IS NULL) AS open_streams, sum(up::DECIMAL(18, 12)) FILTER (symbol IS NULL)::DOUBLE AS open_up,
               sum(streams) AS all_streams, sum(up::DECIMAL(18, 12))::DOUBLE AS all_up
        FROM hearing GROUP BY hour_start
    )
    SELECT '*' AS listener, hour_start, coalesce(open_up / open_streams, all_up / all_streams) AS share FROM by_hour
    UNION ALL
    SELECT hearing.symbol, hearing.hour_start, (hearing.up + coalesce(by_hour.open_up, 0)) / (hearing.streams + coalesce(by_hour.open_streams, 0))
    FROM hearing JOIN by_hour USING (hour_start) WHERE hearing.symbol IS NOT NULL;

-- coverage: per stream and day, the share that was listened to and what is known to be lost.
-- Example: FROM coverage WHERE day = DATE '2026-11-20' ORDER BY up;
CREATE OR REPLACE VIEW coverage AS
    SELECT hours.source, hours.stream, hours.day, hours.up, coalesce(lost.seconds, 0) AS gap_seconds
    FROM (SELECT source, stream, hour_start::DATE AS day, sum(up) / 24 AS up FROM coverage_hours GROUP BY ALL) AS hours
    LEFT JOIN (
        SELECT source, stream, day, sum(epoch(least(to_at, day + INTERVAL 1 DAY) - greatest(from_at, day::TIMESTAMP))) AS seconds
        FROM (SELECT *, unnest(generate_series(from_at::DATE, to_at::DATE, INTERVAL 1 DAY))::DATE AS day FROM gaps) GROUP BY ALL
    ) AS lost USING (source, stream, day);
