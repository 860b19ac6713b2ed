-- volume_spikes(since_at, until_at): buckets far above their expectation, all three widths.
-- volume_z >= 3 with at least 10 organic messages by at least 5 authors (meter_settings). severity: notable from 3,
-- high from 5, extreme from 8. kind: organic when texts / messages >= 0.5, else copied.
-- expected = r * sum of f(h) over the bucket; the scale of 5-minute residuals is taken over 28 days of 5-minute slots.
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
    ), based AS (
        SELECT candidates.*, clock.hours, coalesce(mine.rate, anybody.rate) AS rate,
               CASE candidates.bucket_width WHEN INTERVAL 1 DAY THEN coalesce(mine.scale_day, anybody.scale_day)
                    WHEN INTERVAL 1 HOUR THEN coalesce(mine.scale_hour, anybody.scale_hour) END AS scale
        FROM candidates JOIN clock USING (bucket_width, bucket_start)
        LEFT JOIN symbol_days AS mine ON mine.symbol = candidates.symbol AND mine.day = candidates.day
        LEFT JOIN symbol_days AS anybody ON anybody.symbol = '*' AND anybody.day = candidates.day
    ), short AS (
        SELECT DISTINCT symbol, day, rate FROM based WHERE bucket_width = INTERVAL 5 MINUTE AND rate IS NOT NULL
    ), slots AS (
        SELECT short.symbol, short.day, short.rate, unnest(generate_series((short.day - (SELECT baseline_days FROM meter_settings))::TIMESTAMP, short.day::TIMESTAMP - INTERVAL 5 MINUTE, INTERVAL 5 MINUTE)) AS slot_start
        FROM short
    ), short_scale AS (
        SELECT slots.symbol, slots.day,
               greatest(1.0, 1.4826 * mad(anscombe(coalesce(spoken.organic, 0))
                   - anscombe(slots.rate * market_days.profile[hour_of_week(slots.slot_start, (SELECT zone FROM meter_settings))] / 12))) AS scale
        FROM slots JOIN market_days ON market_days.day = slots.day
        LEFT JOIN buckets AS spoken ON spoken.source = '*' AND spoken.bucket_width = INTERVAL 5 MINUTE AND spoken.symbol = slots.symbol AND spoken.bucket_start = slots.slot_start
        GROUP BY ALL
    ), scored AS (
        SELECT based.symbol, based.bucket_width, based.bucket_start, based.messages, based.organic, based.authors, based.texts,
               based.rate * based.hours AS expected,
               (anscombe(based.organic) - anscombe(based.rate * based.hours)) / coalesce(based.scale, short_scale.scale) AS z
        FROM based LEFT JOIN short_scale ON short_scale.symbol = based.symbol AND short_scale.day = based.day
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
