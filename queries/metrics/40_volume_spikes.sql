-- volume_spikes(since_at, until_at): buckets far above their expectation, all three widths.
-- volume_z >= 3 with at least 10 organic messages by at least 5 authors (meter_settings). severity: notable from 3,
-- high from 5, extreme from 8. kind: organic when texts / messages >= 0.5, else copied.
-- expected = r * sum of f(h) over the bucket; the scale is that of the residuals of the same width (symbol_days, residual_scales).
-- found_at = when the last of its messages became known, so that a rebuild finds the same rows.
-- Example: FROM volume_spikes(TIMESTAMP '2026-11-01', TIMESTAMP '2026-11-22') WHERE bucket_width = INTERVAL 1 DAY ORDER BY z DESC;
CREATE OR REPLACE MACRO volume_spikes(since_at, until_at) AS TABLE
    WITH candidates AS (
        SELECT buckets.*, buckets.bucket_start::DATE AS day FROM buckets
        WHERE buckets.source = '*' AND buckets.bucket_start >= since_at AND buckets.bucket_start < until_at
          AND buckets.organic >= (SELECT spike_messages FROM meter_settings) AND buckets.authors >= (SELECT spike_authors FROM meter_settings)
    ), clock AS (
        SELECT slot.bucket_width, slot.bucket_start,
               sum(market_days.profile[hour_of_week(slot.hour_start, (SELECT zone FROM meter_settings))] * least(1.0, epoch(slot.bucket_width) / 3600) ORDER BY slot.hour_start) AS hours
        FROM (SELECT DISTINCT bucket_width, bucket_start, day,
                     unnest(generate_series(date_trunc('hour', bucket_start), bucket_start + bucket_width - INTERVAL 1 MICROSECOND, INTERVAL 1 HOUR)) AS hour_start FROM candidates) AS slot
        JOIN market_days ON market_days.day = slot.day GROUP BY ALL
    ), based AS MATERIALIZED (
        -- a scale is never below 1: who is not far enough above with that one needs no other
        SELECT candidates.*, coalesce(mine.rate, anybody.rate) * clock.hours AS expected, coalesce(mine.scale_day, anybody.scale_day) AS scale_day,
               coalesce(mine.symbol, '*') AS base_symbol
        FROM candidates JOIN clock USING (bucket_width, bucket_start)
        LEFT JOIN symbol_days AS mine ON mine.symbol = candidates.symbol AND mine.day = candidates.day
        LEFT JOIN symbol_days AS anybody ON anybody.symbol = '*' AND anybody.day = candidates.day
        WHERE anscombe(candidates.organic) - anscombe(coalesce(mine.rate, anybody.rate) * clock.hours) >= (SELECT spike_z FROM meter_settings)
    ), scales AS (
        SELECT symbol AS base_symbol, day, INTERVAL 1 HOUR AS bucket_width, scale
        FROM residual_scales((SELECT list({symbol: base_symbol, day: day}) FROM based WHERE bucket_width = INTERVAL 1 HOUR), 3600)
        UNION ALL
        SELECT symbol, day, INTERVAL 5 MINUTE, scale
        FROM residual_scales((SELECT list({symbol: base_symbol, day: day}) FROM based WHERE bucket_width = INTERVAL 5 MINUTE), 300)
    ), scored AS (
        SELECT based.symbol, based.bucket_width, based.bucket_start, based.messages, based.organic, based.authors, based.texts, based.expected,
               (anscombe(based.organic) - anscombe(based.expected)) / CASE WHEN based.bucket_width = INTERVAL 1 DAY THEN based.scale_day ELSE coalesce(scales.scale, 1.0) END AS z
        FROM based LEFT JOIN scales USING (base_symbol, day, bucket_width)
    ), found AS (
        SELECT * FROM scored WHERE z >= (SELECT spike_z FROM meter_settings)
    ), talk AS (
        SELECT found.symbol, found.bucket_width, found.bucket_start, max(mentions.fetched_at) AS found_at
        FROM found JOIN mentions ON mentions.symbol = found.symbol AND mentions.created_at >= found.bucket_start AND mentions.created_at < found.bucket_start + found.bucket_width
        GROUP BY ALL
    ), passed_on AS (
        SELECT found.symbol, found.bucket_width, found.bucket_start,
               arg_max(messages.id, struct_pack(weight := coalesce(messages.reshares, 0) + coalesce(messages.likes, 0), id := messages.id)) AS top_message_id
        FROM found JOIN mentions ON mentions.symbol = found.symbol AND mentions.created_at >= found.bucket_start AND mentions.created_at < found.bucket_start + found.bucket_width
        JOIN messages ON messages.source = mentions.source AND messages.id = mentions.message_id AND messages.created_at = mentions.created_at
        WHERE coalesce(messages.reshares, 0) + coalesce(messages.likes, 0) > 0 GROUP BY ALL
    )
    SELECT found.symbol, found.bucket_width, found.bucket_start, found.messages, found.organic, found.authors, found.texts, found.expected, found.z,
           normal_upper_tail(found.z) AS p_value,
           CASE WHEN found.z >= 8 THEN 'extreme' WHEN found.z >= 5 THEN 'high' ELSE 'notable' END AS severity,
           CASE WHEN 2 * found.texts >= found.messages THEN 'organic' ELSE 'copied' END AS kind,
           NULL::VARCHAR[] AS top_terms, passed_on.top_message_id, talk.found_at
    FROM found JOIN talk USING (symbol, bucket_width, bucket_start) LEFT JOIN passed_on USING (symbol, bucket_width, bucket_start);
