-- readings_at(for_moments): what the meter shows at each of these moments, for each symbol that was spoken of in the
-- window or is on the watch-list, for the windows in meter_windows (1h, 24h, 7d). Moments are aligned to 5 minutes. Half-open [at - W, at).
-- Needs market_days and symbol_days for the days concerned (the daemon and `tracker replay` make them).
-- Example: SELECT symbol, sentiment_label, volume_z FROM readings_at([TIMESTAMP '2026-11-22 14:00']) WHERE window_name = '24h';
CREATE OR REPLACE MACRO readings_at(for_moments) AS TABLE
    WITH windows AS (
        SELECT moment AS to_at, kind.window_name, moment - to_seconds(kind.seconds) AS from_at, moment - to_seconds(2 * kind.seconds) AS before_at,
               kind.seconds / 3600 AS hours,
               -- the widest buckets that fit: a week at midnight is seven rows a symbol, not 2,016
               CASE WHEN moment = date_trunc('day', moment) AND kind.seconds % 86400 = 0 THEN INTERVAL 1 DAY
                    WHEN moment = date_trunc('hour', moment) AND kind.seconds % 3600 = 0 THEN INTERVAL 1 HOUR ELSE INTERVAL 5 MINUTE END AS grain
        FROM (SELECT DISTINCT unnest(for_moments)::TIMESTAMP AS moment) CROSS JOIN meter_windows AS kind
    ), clock AS (
        -- seasonally adjusted hours of each window, by the profile of the day on which it starts
        SELECT windows.to_at, windows.window_name,
               sum(market_days.profile[hour_of_week(slot.hour_start, (SELECT zone FROM meter_settings))]
                   * epoch(least(slot.hour_start + INTERVAL 1 HOUR, windows.to_at) - greatest(slot.hour_start, windows.from_at)) / 3600 ORDER BY slot.hour_start) AS hours
        FROM (SELECT to_at, window_name, unnest(generate_series(date_trunc('hour', from_at), to_at - INTERVAL 1 MICROSECOND, INTERVAL 1 HOUR)) AS hour_start FROM windows) AS slot
        JOIN windows USING (to_at, window_name) JOIN market_days ON market_days.day = windows.from_at::DATE
        GROUP BY ALL
    ), counted AS (
        SELECT windows.to_at, windows.window_name, buckets.symbol, sum(buckets.messages) AS n, sum(buckets.organic) AS o,
               sum(buckets.bullish) AS bulls, sum(buckets.bearish) AS bears, sum(buckets.neutral) AS others,
               sum(buckets.labelled_bullish + buckets.labelled_bearish) AS labelled,
               list_sum(list(buckets.tone_sum ORDER BY buckets.bucket_start)) AS tone_sum, list_sum(list(buckets.tone_sq_sum ORDER BY buckets.bucket_start)) AS tone_sq_sum
        FROM windows JOIN buckets ON buckets.bucket_width = windows.grain AND buckets.bucket_start >= windows.from_at AND buckets.bucket_start < windows.to_at
        WHERE buckets.source = '*' GROUP BY ALL
    ), before AS (
        SELECT windows.to_at, windows.window_name, buckets.symbol, sum(buckets.messages) AS n, sum(buckets.organic) AS o
        FROM windows JOIN buckets ON buckets.bucket_width = windows.grain AND buckets.bucket_start >= windows.before_at AND buckets.bucket_start < windows.from_at
        WHERE buckets.source = '*' GROUP BY ALL
    ), breadth AS (
        SELECT windows.to_at, windows.window_name, mentions.symbol, count(DISTINCT mentions.author) AS authors, count(DISTINCT mentions.text_key) AS texts
        FROM windows JOIN mentions ON mentions.created_at >= windows.from_at AND mentions.created_at < windows.to_at GROUP BY ALL
    ), voices AS (
        SELECT to_at, window_name, sum(n) AS n FROM counted GROUP BY ALL
    ), ranks AS (
        SELECT to_at, window_name, symbol, rank() OVER (PARTITION BY to_at, window_name ORDER BY o DESC) AS buzz_rank FROM counted
    ), ranks_before AS (
        SELECT to_at, window_name, symbol, rank() OVER (PARTITION BY to_at, window_name ORDER BY o DESC) AS buzz_rank FROM before WHERE window_name = '24h'
    ), listened AS (
        -- a hair below the half, so that rounding does not decide
        SELECT to_at, window_name, count(*) FILTER (up >= 0.5 - 1e-9) AS sources
        FROM (SELECT slot.to_at, slot.window_name, heard.source, sum(heard.up) / sum(heard.streams) * count(DISTINCT heard.hour_start) / any_value(slot.hours) AS up
              FROM (SELECT to_at, window_name, hours, unnest(generate_series(date_trunc('hour', from_at), to_at - INTERVAL 1 MICROSECOND, INTERVAL 1 HOUR)) AS hour_start FROM windows) AS slot
              JOIN listening((SELECT min(from_at) FROM windows), (SELECT max(to_at) FROM windows)) AS heard ON heard.hour_start = slot.hour_start AND heard.source <> '*'
              GROUP BY slot.to_at, slot.window_name, heard.source)
        GROUP BY ALL
    ), asked AS (
        SELECT to_at, window_name, symbol FROM counted
        UNION SELECT windows.to_at, windows.window_name, watchlist.symbol FROM windows CROSS JOIN watchlist
    ), joined AS (
        SELECT asked.symbol, asked.to_at, asked.window_name, coalesce(counted.n, 0) AS n, coalesce(counted.o, 0) AS o,
               coalesce(breadth.authors, 0) AS authors, coalesce(breadth.texts, 0) AS texts,
               coalesce(counted.bulls, 0) AS bulls, coalesce(counted.bears, 0) AS bears, coalesce(counted.others, 0) AS others,
               coalesce(counted.labelled, 0) AS labelled, counted.tone_sum, counted.tone_sq_sum, coalesce(before.n, 0) AS previous, clock.hours,
               habits.p0, habits.s0, habits.habit, mine.own_mean, mine.own_sd, settings.*,
               coalesce(base.rate, anybody.rate) AS rate,
               CASE WHEN windows.hours <= 6 THEN coalesce(base.scale_hour, anybody.scale_hour) WHEN windows.hours <= 72 THEN coalesce(base.scale_day, anybody.scale_day)
                    ELSE coalesce(base.scale_week, anybody.scale_week) END AS scale,
               CASE WHEN base.organic > 0 THEN 'own' WHEN anybody.rate IS NOT NULL THEN 'pooled' ELSE 'none' END AS volume_baseline,
               ranks.buzz_rank, ranks_before.buzz_rank AS buzz_rank_before, voices.n AS all_n, coalesce(listened.sources, 0) AS sources_up
        FROM asked JOIN windows USING (to_at, window_name) CROSS JOIN meter_settings AS settings
        LEFT JOIN counted USING (to_at, window_name, symbol) LEFT JOIN before USING (to_at, window_name, symbol)
        LEFT JOIN breadth USING (to_at, window_name, symbol) LEFT JOIN ranks USING (to_at, window_name, symbol)
        LEFT JOIN ranks_before USING (to_at, window_name, symbol) LEFT JOIN voices USING (to_at, window_name)
        LEFT JOIN listened USING (to_at, window_name) LEFT JOIN clock USING (to_at, window_name)
        LEFT JOIN market_days AS habits ON habits.day = windows.to_at::DATE
        LEFT JOIN symbol_days AS mine ON mine.symbol = asked.symbol AND mine.day = windows.to_at::DATE
        LEFT JOIN symbol_days AS base ON base.symbol = asked.symbol AND base.day = windows.from_at::DATE
        LEFT JOIN symbol_days AS anybody ON anybody.symbol = '*' AND anybody.day = windows.from_at::DATE
    ), measured AS (
        SELECT *, shrunken_log_odds(bulls, bears, p0, k) AS x, rate * hours AS expected FROM joined
    ), scored AS (
        SELECT *, CASE WHEN bulls + bears >= 3 THEN (x - logit(p0)) / s0 END AS sentiment_z, (anscombe(o) - anscombe(expected)) / scale AS volume_z FROM measured
    )
    SELECT symbol, to_at AS "at", window_name, n::BIGINT AS messages, o::BIGINT AS organic, authors, texts,
           bulls::BIGINT AS bullish, bears::BIGINT AS bearish, others::BIGINT AS neutral,
           ratio_of(bulls, bears) AS bullish_ratio, wilson_low(bulls, bears) AS bullish_ratio_low, wilson_high(bulls, bears) AS bullish_ratio_high,
           bullishness_of(bulls, bears) AS bullishness, agreement_of(bulls, bears) AS agreement,
           tone_sum / nullif(o, 0) AS tone_mean,
           CASE WHEN o >= 2 THEN sqrt(greatest(0.0, (tone_sq_sum - tone_sum * tone_sum / o) / (o - 1))) END AS tone_sd,
           labelled / nullif(n, 0) AS labelled_ratio, sentiment_z,
           CASE WHEN bulls + bears >= 3 AND own_sd > 0 THEN (x - own_mean) / own_sd END AS sentiment_z_own,
           100 * normal_cdf(sentiment_z) AS sentiment_score, sentiment_label_of(100 * normal_cdf(sentiment_z), band_1, band_2, band_3, band_4) AS sentiment_label,
           expected, volume_z, 100 * normal_cdf(volume_z) AS volume_score,
           volume_label_of(100 * normal_cdf(volume_z), band_1, band_2, band_3, band_4) AS volume_label,
           previous::BIGINT AS previous_messages, CASE WHEN previous >= 10 THEN (n - previous)::DOUBLE / previous END AS volume_change,
           o / nullif(expected, 0) AS buzz, buzz_rank, buzz_rank_before, n / all_n AS share_of_voice,
           authors / nullif(n, 0) AS dispersion, (n - o) / nullif(n, 0) AS copied_ratio, sources_up,
           CASE WHEN habit IS DISTINCT FROM 'stored' THEN 'default' ELSE volume_baseline END AS baseline, volume_baseline
    FROM scored;
