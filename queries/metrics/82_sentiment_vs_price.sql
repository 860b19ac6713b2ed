-- priced_readings(for_symbols, since_at, until_at, of_window, of_width): stored readings of a list of symbols beside the price, one row a reading with
-- since_at <= at <= until_at; with a width only the newest of each (start, start + of_width], NULL for all of them.
-- price: of the bar known last at `at`, at most 5 days old, else NULL. forward_1h: price of the newest bar no wider than 1 h that became known
-- in (at, at + 1 h], against price. forward_1d, forward_5d: the first and the fifth regular close that became known after `at`, against
-- price, where that was within 7 and 14 days. close_date: trading date of the regular close known last at `at`;
-- before_1d, before_5d: that close against the first and the fifth before it, by the same measure. What is not known is NULL.
-- What happens next is for study: no reading ever uses it.
-- Example: FROM priced_readings(['BABA', 'JD'], TIMESTAMP '2026-11-15', TIMESTAMP '2026-11-22', '24h', INTERVAL 1 DAY) ORDER BY symbol, "at";
CREATE OR REPLACE MACRO priced_readings(for_symbols, since_at, until_at, of_window, of_width) AS TABLE
    WITH taken AS MATERIALIZED (
        SELECT * FROM readings
        WHERE window_name = of_window AND "at" >= since_at AND "at" <= until_at AND symbol IN (SELECT unnest(for_symbols))
        QUALIFY of_width::INTERVAL IS NULL
             OR row_number() OVER (PARTITION BY symbol, time_bucket(of_width::INTERVAL, "at" - INTERVAL 1 MICROSECOND, TIMESTAMP '2000-01-01') ORDER BY "at" DESC) = 1
    ), bars AS MATERIALIZED (
        SELECT symbol, bucket_width, close, known_at FROM bars_of(for_symbols, until_at + INTERVAL 1 HOUR) WHERE known_at >= since_at - INTERVAL 5 DAY
    ), known AS (
        SELECT symbol, max_by(close, bucket_width) AS price, known_at AS price_at FROM bars GROUP BY symbol, known_at
    ), short AS (
        SELECT symbol, max_by(close, bucket_width) AS close, known_at FROM bars WHERE bucket_width <= INTERVAL 1 HOUR GROUP BY symbol, known_at
    ), reached AS (
        SELECT symbol, max(bar_known_at(bucket_start, bucket_width, session, (SELECT zone FROM meter_settings))) AS known_at
        FROM prices WHERE symbol IN (SELECT unnest(for_symbols)) GROUP BY symbol
    ), closes AS MATERIALIZED (
        -- a session whose bars of hours end before its close may still be running: it has no close before something later is known
        SELECT closed.symbol, closed.trading_date, closed.close, closed.known_at, row_number() OVER (PARTITION BY closed.symbol ORDER BY closed.trading_date) AS place
        FROM regular_closes(for_symbols, until_at + INTERVAL 15 DAY) AS closed JOIN reached ON reached.symbol = closed.symbol AND closed.known_at <= reached.known_at
        WHERE closed.known_at >= since_at - INTERVAL 30 DAY
    ), beside AS (
        SELECT taken.symbol, taken."at" AS moment, known.price, known.price_at, short.close AS hour_later, short.known_at AS hour_later_at, coalesce(closes.place, 0) AS place
        FROM taken ASOF LEFT JOIN known ON known.symbol = taken.symbol AND taken."at" >= known.price_at
        ASOF LEFT JOIN short ON short.symbol = taken.symbol AND taken."at" + INTERVAL 1 HOUR >= short.known_at
        ASOF LEFT JOIN closes ON closes.symbol = taken.symbol AND taken."at" >= closes.known_at
    ), fresh AS (
        SELECT symbol, moment, place, hour_later, hour_later_at, CASE WHEN price_at >= moment - INTERVAL 5 DAY THEN price END AS price,
               CASE WHEN price_at >= moment - INTERVAL 5 DAY THEN price_at END AS price_at
        FROM beside
    )
    SELECT taken.*, fresh.price, fresh.price_at, last_one.trading_date AS close_date,
           CASE WHEN last_one.known_at <= one_before.known_at + INTERVAL 7 DAY THEN last_one.close / one_before.close - 1 END AS before_1d,
           CASE WHEN last_one.known_at <= five_before.known_at + INTERVAL 14 DAY THEN last_one.close / five_before.close - 1 END AS before_5d,
           CASE WHEN fresh.hour_later_at > fresh.moment THEN fresh.hour_later / fresh.price - 1 END AS forward_1h,
           CASE WHEN one_after.known_at <= fresh.moment + INTERVAL 7 DAY THEN one_after.close / fresh.price - 1 END AS forward_1d,
           CASE WHEN five_after.known_at <= fresh.moment + INTERVAL 14 DAY THEN five_after.close / fresh.price - 1 END AS forward_5d
    FROM taken JOIN fresh ON fresh.symbol = taken.symbol AND fresh.moment = taken."at"
    LEFT JOIN closes AS last_one ON last_one.symbol = fresh.symbol AND last_one.place = fresh.place AND last_one.known_at >= fresh.moment - INTERVAL 5 DAY
    LEFT JOIN closes AS one_before ON one_before.symbol = fresh.symbol AND one_before.place = fresh.place - 1
    LEFT JOIN closes AS five_before ON five_before.symbol = fresh.symbol AND five_before.place = fresh.place - 5
    LEFT JOIN closes AS one_after ON one_after.symbol = fresh.symbol AND one_after.place = fresh.place + 1
    LEFT JOIN closes AS five_after ON five_after.symbol = fresh.symbol AND five_after.place = fresh.place + 5;

-- sentiment_vs_price(for_symbol, since_at, until_at, of_window): each stored reading of one symbol beside the price known at `at` and what it did
-- next, as priced_readings defines it. For study, never used by a reading.
-- Example: FROM sentiment_vs_price('BABA', TIMESTAMP '2026-11-01', TIMESTAMP '2026-11-22', '24h') ORDER BY "at";
CREATE OR REPLACE MACRO sentiment_vs_price(for_symbol, since_at, until_at, of_window) AS TABLE
    SELECT "at", sentiment_score, sentiment_label, bullish_ratio, sentiment_z, volume_z, messages, organic, price, price_at, forward_1h, forward_1d, forward_5d
    FROM priced_readings([for_symbol], since_at, until_at, of_window, NULL) ORDER BY "at";

-- talk_leads_price(for_symbols, since_at, until_at, of_window): does talk go before the price, or after it? For each symbol, and for volume_z and
-- sentiment_z, Spearman's rank correlation (Pearson's of the ranks, ties sharing their mean) with the return of the session before the
-- reading, of the five before it, of the session after it and of the five after it (before_1d … forward_5d of priced_readings).
-- One pair a session: the first of the daily readings (the newest of each UTC day) after its close; all four over the same pairs, those of
-- which everything is known. NULL below 20 pairs or where nothing varies. Five-day returns overlap, many symbols are looked at: no proof of anything.
-- Example: FROM talk_leads_price(['BABA', 'JD'], TIMESTAMP '2026-08-01', TIMESTAMP '2026-11-22', '24h') ORDER BY symbol, talk;
CREATE OR REPLACE MACRO talk_leads_price(for_symbols, since_at, until_at, of_window) AS TABLE
    WITH daily AS (
        SELECT symbol, volume_z, sentiment_z, before_1d, before_5d, forward_1d, forward_5d
        FROM priced_readings(for_symbols, since_at, until_at, of_window, INTERVAL 1 DAY) WHERE close_date IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY symbol, close_date ORDER BY "at") = 1
    ), pairs AS (
        SELECT * FROM (SELECT symbol, 'volume_z' AS talk, volume_z AS z, before_1d, before_5d, forward_1d, forward_5d FROM daily
                       UNION ALL SELECT symbol, 'sentiment_z', sentiment_z, before_1d, before_5d, forward_1d, forward_5d FROM daily)
        WHERE z IS NOT NULL AND before_1d IS NOT NULL AND before_5d IS NOT NULL AND forward_1d IS NOT NULL AND forward_5d IS NOT NULL
    ), ranked AS (
        SELECT symbol, talk,
               rank() OVER (PARTITION BY symbol, talk ORDER BY z) + (count(*) OVER (PARTITION BY symbol, talk, z) - 1) / 2 AS z,
               rank() OVER (PARTITION BY symbol, talk ORDER BY before_1d) + (count(*) OVER (PARTITION BY symbol, talk, before_1d) - 1) / 2 AS before_1d,
               rank() OVER (PARTITION BY symbol, talk ORDER BY before_5d) + (count(*) OVER (PARTITION BY symbol, talk, before_5d) - 1) / 2 AS before_5d,
               rank() OVER (PARTITION BY symbol, talk ORDER BY forward_1d) + (count(*) OVER (PARTITION BY symbol, talk, forward_1d) - 1) / 2 AS forward_1d,
               rank() OVER (PARTITION BY symbol, talk ORDER BY forward_5d) + (count(*) OVER (PARTITION BY symbol, talk, forward_5d) - 1) / 2 AS forward_5d
        FROM pairs
    ), correlated AS (
        SELECT symbol, talk, count(*) AS pairs, corr(z, before_5d) AS before_5d, corr(z, before_1d) AS before_1d, corr(z, forward_1d) AS forward_1d, corr(z, forward_5d) AS forward_5d
        FROM ranked GROUP BY symbol, talk
    )
    SELECT symbol, talk, pairs, CASE WHEN pairs >= 20 AND NOT isnan(before_5d) THEN before_5d END AS with_before_5d,
           CASE WHEN pairs >= 20 AND NOT isnan(before_1d) THEN before_1d END AS with_before_1d,
           CASE WHEN pairs >= 20 AND NOT isnan(forward_1d) THEN forward_1d END AS with_forward_1d,
           CASE WHEN pairs >= 20 AND NOT isnan(forward_5d) THEN forward_5d END AS with_forward_5d
    FROM correlated;
