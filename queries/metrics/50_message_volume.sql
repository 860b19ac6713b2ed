-- message_volume(for_symbol, since_at, until_at, of_width): messages in each interval, gaps told from silence.
-- A row for every interval: messages is 0 where people were listened to and silent, NULL where nobody listened (up = 0).
-- of_width is INTERVAL 5 MINUTE, 1 HOUR or 1 DAY. Unit: messages. See also bullish_ratios.
-- Example: FROM message_volume('BABA', TIMESTAMP '2026-11-15', TIMESTAMP '2026-11-22', INTERVAL 1 DAY);
CREATE OR REPLACE MACRO message_volume(for_symbol, since_at, until_at, of_width) AS TABLE
    WITH slots AS (
        SELECT unnest(generate_series(time_bucket(of_width, since_at, TIMESTAMP '2000-01-01'), until_at - INTERVAL 1 MICROSECOND, of_width)) AS bucket_start
    ), by_hour AS (
        SELECT hour_start, sum(up) / sum(streams) AS share
        FROM listening(time_bucket(of_width, since_at, TIMESTAMP '2000-01-01'), time_bucket(of_width, until_at - INTERVAL 1 MICROSECOND, TIMESTAMP '2000-01-01') + of_width)
        WHERE source = '*' AND (symbol IS NULL OR symbol = for_symbol) GROUP BY hour_start
    ), heard AS (
        -- as in buckets.up: an hour in which no stream existed was not listened to
        SELECT slots.bucket_start, sum(by_hour.share) / greatest(1, epoch(of_width) / 3600) AS up
        FROM slots JOIN by_hour ON by_hour.hour_start >= date_trunc('hour', slots.bucket_start) AND by_hour.hour_start < slots.bucket_start + of_width
        GROUP BY slots.bucket_start
    ), mine AS (
        SELECT * FROM buckets WHERE symbol = for_symbol AND source = '*' AND bucket_width = of_width AND bucket_start >= time_bucket(of_width, since_at, TIMESTAMP '2000-01-01') AND bucket_start < until_at
    )
    SELECT slots.bucket_start,
           CASE WHEN mine.bucket_start IS NOT NULL OR heard.up > 0 THEN coalesce(mine.messages, 0) END AS messages,
           CASE WHEN mine.bucket_start IS NOT NULL OR heard.up > 0 THEN coalesce(mine.organic, 0) END AS organic,
           CASE WHEN mine.bucket_start IS NOT NULL OR heard.up > 0 THEN coalesce(mine.authors, 0) END AS authors,
           coalesce(mine.up, heard.up, 0) AS up
    FROM slots LEFT JOIN mine USING (bucket_start) LEFT JOIN heard USING (bucket_start)
    ORDER BY slots.bucket_start;
