-- group_volume(of_group, since_at, until_at, of_width): the lines of one issuer, or any group of the watch-list, counted as one.
-- A message that names several symbols of the group counts once; it is copied when somebody named any of them in the same words in the 24 hours
-- before, or when it passes on a message that names one of them. A row for each interval in which the group was named; for gaps ask message_volume.
-- Groups stand in [watchlist.groups]: alibaba = ["BABA", "9988.HK"]. of_width is INTERVAL 5 MINUTE, 1 HOUR or 1 DAY. Unit: messages.
-- Example: FROM group_volume('china_tech', TIMESTAMP '2026-11-15', TIMESTAMP '2026-11-22', INTERVAL 1 DAY);
CREATE OR REPLACE MACRO group_volume(of_group, since_at, until_at, of_width) AS TABLE
    WITH near AS MATERIALIZED (
        SELECT source, message_id, any_value(created_at) AS created_at, any_value(author) AS author, any_value(text_key) AS text_key,
               any_value(reshare_of) AS reshare_of, any_value(stance) AS stance
        FROM mentions
        WHERE symbol IN (SELECT symbol FROM watchlist WHERE of_group IS NULL OR group_name = of_group)
          AND created_at >= since_at - INTERVAL 24 HOUR AND created_at < until_at
        GROUP BY source, message_id
    ), originals AS (
        SELECT source, message_id, any_value(created_at) AS made_at FROM mentions
        WHERE symbol IN (SELECT symbol FROM watchlist WHERE of_group IS NULL OR group_name = of_group)
          AND (source, message_id) IN (SELECT (source, reshare_of) FROM near WHERE reshare_of IS NOT NULL)
        GROUP BY source, message_id
    ), ordered AS (
        SELECT *, lag(created_at) OVER (PARTITION BY text_key ORDER BY created_at, source, message_id) AS said_at FROM near
    ), marked AS (
        SELECT ordered.*, coalesce(text_key IS NOT NULL AND said_at > created_at - INTERVAL 24 HOUR, FALSE) OR coalesce(made_at <= created_at, FALSE) AS copied
        FROM ordered LEFT JOIN originals ON originals.source = ordered.source AND originals.message_id = ordered.reshare_of
    )
    SELECT time_bucket(of_width, created_at, TIMESTAMP '2000-01-01') AS bucket_start, count(*) AS messages, count(*) FILTER (NOT copied) AS organic,
           count(DISTINCT author) AS authors, count(*) FILTER (NOT copied AND stance > 0) AS bullish,
           count(*) FILTER (NOT copied AND stance < 0) AS bearish, count(*) FILTER (NOT copied AND stance = 0) AS neutral,
           ratio_of(count(*) FILTER (NOT copied AND stance > 0), count(*) FILTER (NOT copied AND stance < 0)) AS bullish_ratio
    FROM marked WHERE created_at >= since_at GROUP BY 1 ORDER BY 1;
