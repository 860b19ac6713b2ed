-- readings_at(for_moments): what the meter shows at each of these moments, for each symbol that was spoken of in the
-- window or is on the watch-list, for the windows in meter_windows (1h, 24h, 7d). Moments are aligned to 5 minutes. Half-open [at - W, at).
-- Needs market_days, symbol_days and hour_scales for the days concerned (the daemon and `tracker replay` make them).
-- Example: SELECT symbol, sentiment_label, volume_z FROM readings_at([TIMESTAMP '2026-11-22 14:00']) WHERE window_name = '24h';
CREATE OR REPLACE MACRO readings_at(for_moments) AS TABLE
    WITH windows AS MATERIALIZED (
        SELECT moment AS to_at, kind.window_name, moment - to_seconds(kind.seconds) AS from_at, moment - to_seconds(2 * kind.seconds) AS before_at,
               kind.seconds / 3600 AS hours
        FROM (SELECT DISTINCT unnest(for_moments)::TIMESTAMP AS moment) CROSS JOIN meter_windows AS kind
    ), spans AS (
        -- a window and the equal one before it, with the whole days and hours inside: a week is made of six days, some hours and
        -- some five minutes, not of 2,016 buckets
        SELECT *, date_trunc('hour', starts + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND) AS hour_1, date_trunc('hour', ends) AS hour_2,
               date_trunc('day', starts + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND) AS day_1, date_trunc('day', ends) AS day_2
        FROM (SELECT to_at, window_name, false AS earlier, from_at AS starts, to_at AS ends FROM windows
              UNION ALL SELECT to_at, window_name, true, before_at, from_at FROM windows)
    ), pieces AS MATERIALIZED (
        SELECT to_at, window_name, earlier, piece.grain AS grain, piece.starts AS starts, piece.ends AS ends
        FROM (SELECT to_at, window_name, earlier, unnest([
                  {grain: INTERVAL 1 DAY, starts: day_1, ends: day_2},
                  {grain: INTERVAL 1 HOUR, starts: hour_1, ends: CASE WHEN day_1 < day_2 THEN day_1 ELSE hour_2 END},
                  {grain: INTERVAL 1 HOUR, starts: CASE WHEN day_1 < day_2 THEN day_2 ELSE hour_2 END, ends: hour_2},
                  {grain: INTERVAL 5 MINUTE, starts: starts, ends: CASE WHEN hour_1 < hour_2 THEN hour_1 ELSE ends END},
                  {grain: INTERVAL 5 MINUTE, starts: CASE WHEN hour_1 < hour_2 THEN hour_2 ELSE ends END, ends: ends}]) AS piece FROM spans)
        WHERE piece.starts < piece.ends
    ), clock AS (
        -- seasonally adjusted hours of each window, by the profile of the day on which it starts
        SELECT windows.to_at, windows.window_name,
               sum(market_days.profile[hour_of_week(slot.hour_start, (SELECT zone FROM meter_settings))]
                   * epoch(least(slot.hour_start + INTERVAL 1 HOUR, windows.to_at) - greatest(slot.hour_start, windows.from_at)) / 3600 ORDER BY slot.hour_start) AS hours
        FROM (SELECT to_at, window_name, unnest(generate_series(date_trunc('hour', from_at), to_at - INTERVAL 1 MICROSECOND, INTERVAL 1 HOUR)) AS hour_start FROM windows) AS slot
        JOIN windows USING (to_at, window_name) JOIN market_days ON market_days.day = windows.from_at::DATE
        GROUP BY ALL
    ), tallied AS MATERIALIZED (
        SELECT to_at, window_name, earlier, symbol, sum(messages) AS n, sum(organic) AS o, sum(bullish) AS bulls, sum(bearish) AS bears, sum(neutral) AS others,
               sum(labelled_bullish + labelled_bearish) AS labelled,
               sum(tone_sum::DECIMAL(24, 15))::DOUBLE AS tone_sum, sum(tone_sq_sum::DECIMAL(24, 15))::DOUBLE AS tone_sq_sum
        FROM (
            SELECT pieces.to_at, pieces.window_name, pieces.earlier, b.* FROM pieces JOIN buckets AS b ON b.bucket_start >= pieces.starts AND b.bucket_start < pieces.ends
            WHERE pieces.grain = INTERVAL 1 DAY AND b.bucket_width = INTERVAL 1 DAY AND b.source = '*'
            UNION ALL
            SELECT pieces.to_at, pieces.window_name, pieces.earlier, b.* FROM pieces JOIN buckets AS b ON b.bucket_start >= pieces.starts AND b.bucket_start < pieces.ends
            WHERE pieces.grain = INTERVAL 1 HOUR AND b.bucket_width = INTERVAL 1 HOUR AND b.source = '*'
            UNION ALL
            SELECT pieces.to_at, pieces.window_name, pieces.earlier, b.* FROM pieces JOIN buckets AS b ON b.bucket_start >= pieces.starts AND b.bucket_start < pieces.ends
            WHERE pieces.grain = INTERVAL 5 MINUTE AND b.bucket_width = INTERVAL 5 MINUTE AND b.source = '*')
        GROUP BY to_at, window_name, earlier, symbol
    ), counted AS MATERIALIZED (
        SELECT *, rank() OVER (PARTITION BY to_at, window_name ORDER BY o DESC) AS buzz_rank
        FROM tallied WHERE NOT earlier
    ), before AS (
        SELECT to_at, window_name, symbol, n AS previous, CASE WHEN window_name = '24h' THEN rank() OVER (PARTITION BY to_at, window_name ORDER BY o DESC) END AS buzz_rank_before
        FROM tallied WHERE earlier
    ), breadth AS (
        SELECT windows.to_at, windows.window_name, mentions.symbol, count(DISTINCT mentions.author) AS authors, count(DISTINCT mentions.text_key) AS texts
        FROM windows JOIN mentions ON mentions.created_at >= windows.from_at AND mentions.created_at < windows.to_at GROUP BY ALL
    ), listened AS (
        -- a hair below the half, so that rounding does not decide
        SELECT to_at, window_name, count(*) FILTER (up >= 0.5 - 1e-9) AS sources
        FROM (SELECT slot.to_at, slot.window_name, heard.source, sum(heard.up) / sum(heard.streams) * count(DISTINCT heard.hour_start) / any_value(slot.hours) AS up
              FROM (SELECT to_at, window_name, hours, unnest(generate_series(date_trunc('hour', from_at), to_at - INTERVAL 1 MICROSECOND, INTERVAL 1 HOUR)) AS hour_start FROM windows) AS slot
              JOIN listening((SELECT min(from_at) FROM windows), (SELECT max(to_at) FROM windows)) AS heard ON heard.hour_start = slot.hour_start AND heard.source <> '*'
              GROUP BY slot.to_at, slot.window_name, heard.source)
        GROUP BY ALL
    ), frames AS MATERIALIZED (
        -- what all symbols share at one moment in one window
        SELECT windows.*, clock.hours AS clock_hours, habits.p0, habits.s0, habits.habit, anybody.rate AS any_rate, anybody.scale_day AS any_scale_day,
               anybody.scale_week AS any_scale_week, coalesce(listened.sources, 0) AS sources_up, voices.all_n, settings.k, settings.band_1, settings.band_2, settings.band_3, settings.band_4
        FROM windows CROSS JOIN meter_settings AS settings
        LEFT JOIN clock USING (to_at, window_name) LEFT JOIN listened USING (to_at, window_name)
        LEFT JOIN (SELECT to_at, window_name, sum(n) AS all_n FROM tallied WHERE NOT earlier GROUP BY ALL) AS voices USING (to_at, window_name)
        LEFT JOIN market_days AS habits ON habits.day = windows.to_at::DATE
        LEFT JOIN symbol_days AS anybody ON anybody.symbol = '*' AND anybody.day = windows.from_at::DATE
    ), asked AS (
        SELECT to_at, window_name, symbol FROM counted
        UNION SELECT windows.to_at, windows.window_name, watchlist.symbol FROM windows CROSS JOIN watchlist
    ), joined AS (
        SELECT asked.symbol, frames.*, coalesce(counted.n, 0) AS n, coalesce(counted.o, 0) AS o,
               coalesce(breadth.authors, 0) AS authors, coalesce(breadth.texts, 0) AS texts,
               coalesce(counted.bulls, 0) AS bulls, coalesce(counted.bears, 0) AS bears, coalesce(counted.others, 0) AS others,
               coalesce(counted.labelled, 0) AS labelled, counted.tone_sum, counted.tone_sq_sum, coalesce(before.previous, 0) AS previous,
               counted.buzz_rank, before.buzz_rank_before, mine.own_mean, mine.own_sd, coalesce(base.rate, frames.any_rate) AS rate,
               CASE WHEN frames.hours <= 6 THEN coalesce(hourly.scale, 1.0) WHEN frames.hours <= 72 THEN coalesce(base.scale_day, frames.any_scale_day)
                    ELSE coalesce(base.scale_week, frames.any_scale_week) END AS scale,
               CASE WHEN base.organic > 0 THEN 'own' WHEN frames.any_rate IS NOT NULL THEN 'pooled' ELSE 'none' END AS volume_baseline
        FROM asked JOIN frames USING (to_at, window_name)
        LEFT JOIN counted USING (to_at, window_name, symbol) LEFT JOIN before USING (to_at, window_name, symbol) LEFT JOIN breadth USING (to_at, window_name, symbol)
        LEFT JOIN symbol_days AS mine ON mine.symbol = asked.symbol AND mine.day = frames.to_at::DATE
        LEFT JOIN symbol_days AS base ON base.symbol = asked.symbol AND base.day = frames.from_at::DATE
        LEFT JOIN hour_scales AS hourly ON hourly.symbol = coalesce(base.symbol, '*') AND hourly.day = frames.from_at::DATE
    ), measured AS (
        SELECT *, shrunken_log_odds(bulls, bears, p0, k) AS x, rate * clock_hours AS expected FROM joined
    ), scored AS (
        SELECT *, CASE WHEN bulls + bears >= 3 THEN (x - logit(p0)) / s0 END AS sentiment_z, (anscombe(o) - anscombe(expected)) / scale AS volume_z FROM measured
    ), shown AS (
        SELECT *, 100 * normal_cdf(sentiment_z) AS sentiment_score, 100 * normal_cdf(volume_z) AS volume_score FROM scored
    )
    SELECT symbol, to_at AS "at", window_name, n::BIGINT AS messages, o::BIGINT AS organic, authors, texts,
           bulls::BIGINT AS bullish, bears::BIGINT AS bearish, others::BIGINT AS neutral,
           ratio_of(bulls, bears) AS bullish_ratio, wilson_low(bulls, bears) AS bullish_ratio_low, wilson_high(bulls, bears) AS bullish_ratio_high,
           bullishness_of(bulls, bears) AS bullishness, agreement_of(bulls, bears) AS agreement,
           tone_sum / nullif(o, 0) AS tone_mean,
           CASE WHEN o >= 2 THEN sqrt(greatest(0.0, (tone_sq_sum - tone_sum * tone_sum / o) / (o - 1))) END AS tone_sd,
           labelled / nullif(n, 0) AS labelled_ratio, sentiment_z,
           CASE WHEN bulls + bears >= 3 AND own_sd > 0 THEN (x - own_mean) / own_sd END AS sentiment_z_own,
           sentiment_score, sentiment_label_of(sentiment_score, band_1, band_2, band_3, band_4) AS sentiment_label,
           expected, volume_z, volume_score,
           volume_label_of(volume_score, band_1, band_2, band_3, band_4) AS volume_label,
           previous::BIGINT AS previous_messages, CASE WHEN previous >= 10 THEN (n - previous)::DOUBLE / previous END AS volume_change,
           o / nullif(expected, 0) AS buzz, buzz_rank, buzz_rank_before, n / all_n AS share_of_voice,
           authors / nullif(n, 0) AS dispersion, (n - o) / nullif(n, 0) AS copied_ratio, sources_up,
           CASE WHEN habit IS DISTINCT FROM 'stored' THEN 'default' ELSE volume_baseline END AS baseline, volume_baseline
    FROM shown;
