-- heard_between(for_symbol, since_at, until_at): which sources were listened to for a symbol, and for how much of the
-- span. One row for each source that has a stream of the symbol or one that may carry any symbol, and '*' for all
-- together. Whole hours count: those that begin at or after the hour of since_at and before the hour of until_at. An hour
-- in which no stream of the source existed yet, or any more, was not heard.
-- Example: FROM heard_between('BABA', TIMESTAMP '2026-11-15', TIMESTAMP '2026-11-22') ORDER BY up;
CREATE OR REPLACE MACRO heard_between(for_symbol, since_at, until_at) AS TABLE
    WITH hours AS (
        SELECT source, hour_start, sum(streams)::BIGINT AS streams, sum(up::DECIMAL(24, 12)) AS up
        FROM listening(date_trunc('hour', since_at), date_trunc('hour', until_at))
        WHERE symbol IS NULL OR symbol = for_symbol GROUP BY source, hour_start
    )
    SELECT source, max(streams) AS streams,
           sum(up)::DOUBLE / sum(streams) * count(*) / datediff('hour', date_trunc('hour', since_at), date_trunc('hour', until_at)) AS up
    FROM hours GROUP BY source;
