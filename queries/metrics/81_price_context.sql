-- price_contexts(for_symbols, at_time): where the prices of a list of symbols stand at a time, one row for each of which a price was known.
-- price: of the bar known last, however old (price_at says when), the daily one where several end together. previous_close: the
-- regular close of the session before the one the price belongs to; after hours that of the same day. change = price / previous_close - 1;
-- session_change: the last whole regular session against the one before. week_change, month_change, year_change: price against the last regular
-- close before the week (Monday), month, year of at_time began in the market's zone; NULL without one, and while no price of the span itself is known.
-- high: highest price of any bar, the first time it was reached; below_high = 1 - price / high. Nothing later than at_time is looked at.
-- Closes are taken as they stand: a file that is not adjusted for splits shows a split as a move.
-- Example: FROM price_contexts(['BABA', 'JD'], TIMESTAMP '2026-11-22');
CREATE OR REPLACE MACRO price_contexts(for_symbols, at_time) AS TABLE
    WITH bars AS MATERIALIZED (
        SELECT symbol, bucket_width, bucket_start, session, close, greatest(close, high) AS top, source, trading_date, known_at FROM bars_of(for_symbols, at_time)
    ), closes AS MATERIALIZED (
        SELECT symbol, trading_date, close, known_at FROM regular_closes(for_symbols, at_time)
    ), local AS (
        SELECT zone, timezone(zone, timezone('UTC', at_time::TIMESTAMP)) AS clock FROM meter_settings
    ), starts AS (
        SELECT timezone('UTC', timezone(zone, date_trunc('week', clock))) AS week_at, timezone('UTC', timezone(zone, date_trunc('month', clock))) AS month_at,
               timezone('UTC', timezone(zone, date_trunc('year', clock))) AS year_at FROM local
    ), newest AS (
        SELECT symbol, max(known_at) AS known_at FROM bars GROUP BY symbol
    ), latest AS (
        -- after hours the regular session of the same day is the one before
        SELECT symbol, close AS price, known_at AS price_at, session, source, trading_date + CASE WHEN session = 'post' THEN 1 ELSE 0 END AS closed_before
        FROM bars SEMI JOIN newest USING (symbol, known_at)
        QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY bucket_width DESC) = 1
    ), peaks AS (
        SELECT symbol, max(top) AS high, min(trading_date) AS first_date, count(*) AS bars FROM bars GROUP BY symbol
    ), peak_dates AS (
        SELECT bars.symbol, min(bars.trading_date) AS high_date FROM bars JOIN peaks ON peaks.symbol = bars.symbol AND peaks.high = bars.top GROUP BY bars.symbol
    ), sessions AS (
        SELECT symbol, trading_date, close, lead(close) OVER later AS close_before, row_number() OVER later AS back FROM closes
        WINDOW later AS (PARTITION BY symbol ORDER BY trading_date DESC)
    ), bases AS (
        SELECT closes.symbol,
               max_by(closes.close, closes.trading_date) FILTER (closes.trading_date < latest.closed_before) AS previous_close,
               max(closes.trading_date) FILTER (closes.trading_date < latest.closed_before) AS previous_close_date,
               max_by(closes.close, closes.trading_date) FILTER (closes.known_at <= starts.week_at AND latest.price_at > starts.week_at) AS week_base,
               max_by(closes.close, closes.trading_date) FILTER (closes.known_at <= starts.month_at AND latest.price_at > starts.month_at) AS month_base,
               max_by(closes.close, closes.trading_date) FILTER (closes.known_at <= starts.year_at AND latest.price_at > starts.year_at) AS year_base
        FROM closes JOIN latest USING (symbol) CROSS JOIN starts GROUP BY closes.symbol
    )
    SELECT latest.symbol, at_time::TIMESTAMP AS "at", latest.price, latest.price_at, latest.session, latest.source,
           bases.previous_close, bases.previous_close_date, latest.price / bases.previous_close - 1 AS change,
           sessions.close / sessions.close_before - 1 AS session_change, sessions.trading_date AS session_date,
           latest.price / bases.week_base - 1 AS week_change, latest.price / bases.month_base - 1 AS month_change, latest.price / bases.year_base - 1 AS year_change,
           peaks.high, peak_dates.high_date, 1 - latest.price / peaks.high AS below_high, peaks.first_date, peaks.bars
    FROM latest JOIN peaks USING (symbol) JOIN peak_dates USING (symbol) LEFT JOIN bases USING (symbol)
    LEFT JOIN sessions ON sessions.symbol = latest.symbol AND sessions.back = 1;

-- price_context(for_symbol, at_time): the same of one symbol: one row, or none where no price was known.
-- Example: FROM price_context('BABA', TIMESTAMP '2026-11-22');
CREATE OR REPLACE MACRO price_context(for_symbol, at_time) AS TABLE SELECT * FROM price_contexts([for_symbol], at_time);

-- group_readings(of_group, at_time, of_window): the symbols of a group of the watch-list side by side, each with its newest reading (at most a
-- day old) and where its price stands; NULL where there is none. Without a group (NULL) the whole watch-list.
-- Example: FROM group_readings('china_tech', TIMESTAMP '2026-11-22', '24h');
CREATE OR REPLACE MACRO group_readings(of_group, at_time, of_window) AS TABLE
    WITH members AS MATERIALIZED (
        SELECT DISTINCT symbol FROM watchlist WHERE of_group::VARCHAR IS NULL OR group_name = of_group::VARCHAR
    ), newest AS (
        SELECT * FROM readings
        WHERE window_name = of_window AND "at" <= at_time AND "at" > at_time - INTERVAL 1 DAY AND symbol IN (SELECT symbol FROM members)
        QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY "at" DESC) = 1
    ), priced AS (
        SELECT * FROM price_contexts((SELECT list(symbol) FROM members), at_time)
    )
    SELECT members.symbol, newest."at", newest.messages, newest.organic, newest.expected, newest.volume_change, newest.volume_label,
           newest.bullish_ratio, newest.bullish + newest.bearish AS opinions, newest.sentiment_score, newest.sentiment_label,
           priced.price, priced.price_at, priced.session_change, priced.session_date, priced.year_change
    FROM members LEFT JOIN newest USING (symbol) LEFT JOIN priced USING (symbol);
