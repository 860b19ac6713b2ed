-- residual_scales(of_pairs, slot_seconds): max(1, 1.4826 MAD) of the Anscombe residuals A(o) - A(r * f(h) * share) over all slots that
-- were listened to in the 28 days ([meter] baseline_days) before a day, for a list of {symbol, day}; slots are 300 or 3,600 seconds long.
-- Only scales above 1 have a row. Needs the rows of symbol_days and market_days for these pairs.
-- While more than half of the slots are silent the MAD can't exceed the spread of the silent residuals: where even that stays
-- below 1 after scaling, the scale is 1 and nobody needs to look at the slots one by one. Exact, not a guess.
-- Example: FROM residual_scales([{symbol: 'BABA', day: DATE '2026-11-20'}], 3600);
CREATE OR REPLACE MACRO residual_scales(of_pairs, slot_seconds) AS TABLE
    WITH asked AS (
        SELECT DISTINCT pair.symbol AS symbol, pair.day AS day FROM (SELECT unnest(of_pairs) AS pair)
    ), based AS MATERIALIZED (
        SELECT asked.symbol, asked.day, asked.day - (SELECT baseline_days FROM meter_settings) AS from_day, base.rate * slot_seconds / 3600 AS slot_rate,
               base.organic, base.slots * (3600 // slot_seconds) AS slots, base.quietest, base.busiest
        FROM asked JOIN symbol_days AS base ON base.symbol = asked.symbol AND base.day = asked.day
    ), candidates AS MATERIALIZED (
        SELECT * FROM based
        WHERE 2 * organic >= slots OR 1.4826 * (anscombe(slot_rate * busiest) - anscombe(slot_rate * quietest)) > 1
    ), spoken AS MATERIALIZED (
        SELECT buckets.symbol, buckets.bucket_start AS slot_start, buckets.organic
        FROM buckets SEMI JOIN candidates ON candidates.symbol = buckets.symbol
        WHERE buckets.source = '*' AND buckets.bucket_width = CASE WHEN slot_seconds = 300 THEN INTERVAL 5 MINUTE ELSE INTERVAL 1 HOUR END AND buckets.organic > 0
          AND buckets.bucket_start >= (SELECT min(from_day)::TIMESTAMP FROM candidates) AND buckets.bucket_start < (SELECT max(day)::TIMESTAMP FROM candidates)
    ), noisy AS MATERIALIZED (
        SELECT candidates.symbol, candidates.day, any_value(candidates.from_day) AS from_day, any_value(candidates.slot_rate) AS slot_rate
        FROM candidates LEFT JOIN spoken ON spoken.symbol = candidates.symbol AND spoken.slot_start >= candidates.from_day::TIMESTAMP AND spoken.slot_start < candidates.day::TIMESTAMP
        GROUP BY candidates.symbol, candidates.day
        HAVING 2 * count(spoken.symbol) >= 0.9 * any_value(candidates.slots)
            OR 1.4826 * (anscombe(any_value(candidates.slot_rate * candidates.busiest)) - anscombe(any_value(candidates.slot_rate * candidates.quietest))) > 1
    ), hours AS MATERIALIZED (
        SELECT listener, hour_start, share, hour_of_week(hour_start, (SELECT zone FROM meter_settings)) AS h
        FROM listened_shares((SELECT min(from_day)::TIMESTAMP FROM noisy), (SELECT max(day)::TIMESTAMP FROM noisy)) WHERE share > 0
    ), heard AS (
        SELECT noisy.symbol, noisy.day, noisy.from_day, noisy.slot_rate,
               CASE WHEN EXISTS (SELECT 1 FROM hours AS own WHERE own.listener = noisy.symbol AND own.hour_start >= noisy.from_day::TIMESTAMP AND own.hour_start < noisy.day::TIMESTAMP)
                    THEN noisy.symbol ELSE '*' END AS listener
        FROM noisy
    ), placed AS (
        SELECT day, listener, hours.hour_start + to_seconds(slot_seconds * step) AS slot_start, profile[hours.h] * hours.share AS pace
        FROM (SELECT DISTINCT heard.day, heard.from_day, heard.listener, market_days.profile FROM heard JOIN market_days ON market_days.day = heard.day) AS clock
        JOIN hours USING (listener)
        CROSS JOIN (SELECT unnest(range(3600 // slot_seconds)) AS step) AS steps
        WHERE hours.hour_start >= clock.from_day::TIMESTAMP AND hours.hour_start < clock.day::TIMESTAMP
    )
    SELECT heard.symbol, heard.day, greatest(1.0, 1.4826 * mad(anscombe(coalesce(spoken.organic, 0)) - anscombe(heard.slot_rate * placed.pace))) AS scale
    FROM heard JOIN placed ON placed.day = heard.day AND placed.listener = heard.listener
    LEFT JOIN spoken ON spoken.symbol = heard.symbol AND spoken.slot_start = placed.slot_start
    GROUP BY heard.symbol, heard.day HAVING scale > 1;
