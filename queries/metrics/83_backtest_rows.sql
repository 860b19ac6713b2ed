-- backtest_rows(for_symbols, since_at, until_at, of_window, of_width): what a backtest starts from: for each symbol and UTC day (of_width: INTERVAL 1 DAY or 1 HOUR) the
-- newest reading with since_at < at <= until_at and at in (day, day + 1], all its columns, the price then and what it did next (priced_readings), and
-- how good the reading is: heard: share of its window that polls of the streams that may carry the symbol covered, NULL where none existed;
-- gaps, gap_hours: spans in the window in which such a stream is known to have lost messages, and their length over all streams; taken: live, from what
-- was fetched by then, or replayed, from what was made by then and fetched later. A symbol that nobody spoke of has no row that day, unless it is watched.
-- Forward returns are for study, never used by a reading.
-- Example: FROM backtest_rows(['BABA', 'JD'], TIMESTAMP '2026-11-01', TIMESTAMP '2026-11-22', '24h', INTERVAL 1 DAY) ORDER BY symbol, "at";
CREATE OR REPLACE MACRO backtest_rows(for_symbols, since_at, until_at, of_window, of_width) AS TABLE
    WITH priced AS MATERIALIZED (
        SELECT * FROM priced_readings(for_symbols, since_at + INTERVAL 1 MICROSECOND, until_at, of_window, of_width)
    ), span AS (
        SELECT to_seconds(any_value(seconds)) AS width FROM meter_windows WHERE window_name = of_window
    ), edges AS (
        SELECT date_trunc('hour', min("at") - any_value(width)) AS from_at, date_trunc('hour', max("at")) + INTERVAL 1 HOUR AS to_at FROM priced CROSS JOIN span
    ), hearing AS MATERIALIZED (
        SELECT symbol, hour_start, streams, up FROM listening((SELECT from_at FROM edges), (SELECT to_at FROM edges)) WHERE source = '*'
    ), listeners AS (
        SELECT DISTINCT symbol AS listener FROM hearing WHERE symbol IN (SELECT unnest(for_symbols)) UNION ALL SELECT '*'
    ), hourly AS (
        -- symbols without a stream of their own are heard on those that may carry any symbol
        SELECT listeners.listener, slots.hour_start, coalesce(own.streams, 0) + coalesce(every.streams, 0) AS streams, coalesce(own.up, 0) + coalesce(every.up, 0) AS up
        FROM (SELECT unnest(generate_series(from_at, to_at, INTERVAL 1 HOUR)) AS hour_start FROM edges) AS slots CROSS JOIN listeners
        LEFT JOIN hearing AS own ON own.symbol = listeners.listener AND own.hour_start = slots.hour_start
        LEFT JOIN hearing AS every ON every.symbol IS NULL AND every.hour_start = slots.hour_start
    ), shares AS (
        SELECT listener, hour_start, coalesce(up / nullif(streams, 0), 0)::DECIMAL(18, 15) AS share, (streams > 0)::INTEGER AS existing FROM hourly
    ), heard_until AS MATERIALIZED (
        -- hours heard, and hours in which any stream existed, from the beginning up to each hour
        SELECT *, coalesce(sum(share) OVER before, 0) AS hours, coalesce(sum(existing) OVER before, 0) AS hours_existing
        FROM shares WINDOW before AS (PARTITION BY listener ORDER BY hour_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), asked AS (
        SELECT priced.symbol, priced."at" AS to_at, priced."at" - span.width AS from_at, epoch(span.width) / 3600 AS hours,
               CASE WHEN priced.symbol IN (SELECT listener FROM listeners) THEN priced.symbol ELSE '*' END AS listener
        FROM priced CROSS JOIN span
    ), parts AS (
        -- how much of the hour that an end of the window falls into lies before it
        SELECT *, epoch(to_at - date_trunc('hour', to_at)) / 3600 AS to_part, epoch(from_at - date_trunc('hour', from_at)) / 3600 AS from_part FROM asked
    ), counted AS (
        SELECT parts.symbol, parts.to_at, parts.hours,
               (ending.hours - beginning.hours)::DOUBLE + ending.share * to_part - beginning.share * from_part AS hours_heard,
               ending.hours_existing - beginning.hours_existing + ending.existing * to_part - beginning.existing * from_part AS hours_existing
        FROM parts
        JOIN heard_until AS ending ON ending.listener = parts.listener AND ending.hour_start = date_trunc('hour', parts.to_at)
        JOIN heard_until AS beginning ON beginning.listener = parts.listener AND beginning.hour_start = date_trunc('hour', parts.from_at)
    ), heard AS (
        SELECT symbol, to_at, CASE WHEN hours_existing > 0 THEN least(1.0, greatest(0.0, hours_heard / hours)) END AS heard FROM counted
    ), lost AS (
        SELECT asked.symbol, asked.to_at, count(*) AS gaps, sum(epoch(least(gaps.to_at, asked.to_at) - greatest(gaps.from_at, asked.from_at))) / 3600 AS gap_hours
        FROM asked JOIN gaps ON gaps.to_at > asked.from_at AND gaps.from_at < asked.to_at
         AND (NOT starts_with(gaps.stream, 'symbol/') OR upper(substr(gaps.stream, 8)) = asked.symbol)
        GROUP BY asked.symbol, asked.to_at
    )
    SELECT priced.*, heard.heard, coalesce(lost.gaps, 0) AS gaps, coalesce(lost.gap_hours, 0) AS gap_hours,
           CASE WHEN priced.computed_at = priced."at" THEN 'replayed' ELSE 'live' END AS taken
    FROM priced LEFT JOIN heard ON heard.symbol = priced.symbol AND heard.to_at = priced."at"
    LEFT JOIN lost ON lost.symbol = priced.symbol AND lost.to_at = priced."at";
