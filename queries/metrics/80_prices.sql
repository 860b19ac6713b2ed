-- bar_known_at(bar_start, of_width, of_session, market_zone): when a price bar is known: at its end. A daily bar of the regular
-- session is known from 16:00 in the market's zone on its trading date (summer time respected, early closes not), a daily bar
-- without a session from the next midnight UTC.
-- Example: SELECT bar_known_at(TIMESTAMP '2026-11-20', INTERVAL 1 DAY, 'regular', 'America/New_York');
CREATE OR REPLACE MACRO bar_known_at(bar_start, of_width, of_session, market_zone) AS (
    CASE WHEN of_width = INTERVAL 1 DAY AND of_session = 'regular' THEN timezone('UTC', timezone(market_zone, bar_start + INTERVAL 16 HOUR))
         ELSE bar_start + of_width END);

-- session_of(of_symbol, local_start, of_width, of_session): the session of a bar that starts at a time of the market's clock: what its source
-- says; failing that, for bars of hours and minutes of a symbol spelled like a stock of the market (BABA, BRK.B): pre when it ends by 9:30, post
-- when it starts from 16:00 on, else regular. NULL for all others: they count as regular.
-- Example: SELECT session_of('BABA', TIMESTAMP '2026-11-20 08:00', INTERVAL 1 HOUR, NULL);
CREATE OR REPLACE MACRO session_of(of_symbol, local_start, of_width, of_session) AS (
    CASE WHEN of_session IS NOT NULL THEN of_session
         WHEN of_width >= INTERVAL 1 DAY OR ends_with(of_symbol, '.X') OR NOT regexp_full_match(of_symbol, '[A-Z]{1,5}([.][A-Z])?') THEN NULL
         WHEN local_start + of_width <= date_trunc('day', local_start) + INTERVAL 570 MINUTE THEN 'pre'
         WHEN hour(local_start) >= 16 THEN 'post'
         ELSE 'regular' END);

-- bars_of(for_symbols, until_at): the price bars of a list of symbols that were known by a time, one for each symbol, width and start:
-- where several sources hold it the one fetched last, then the first source by name. trading_date is a daily bar's own
-- date, in the market's zone for bars of a session, the UTC day for what never closes.
-- Example: FROM bars_of(['BABA', 'JD'], TIMESTAMP '2026-11-22') ORDER BY known_at DESC LIMIT 10;
CREATE OR REPLACE MACRO bars_of(for_symbols, until_at) AS TABLE
    WITH asked AS (
        -- every bar is known after it starts
        SELECT * EXCLUDE (adj_close) FROM prices WHERE symbol IN (SELECT unnest(for_symbols)) AND bucket_start <= until_at
    ), shared AS MATERIALIZED (
        -- nearly always there is one source, and nothing to choose
        SELECT symbol, bucket_width FROM asked GROUP BY symbol, bucket_width HAVING min(source) < max(source)
    ), chosen AS (
        SELECT * FROM asked ANTI JOIN shared USING (symbol, bucket_width)
        UNION ALL
        SELECT * FROM asked SEMI JOIN shared USING (symbol, bucket_width)
        QUALIFY row_number() OVER (PARTITION BY symbol, bucket_width, bucket_start ORDER BY fetched_at DESC, source) = 1
    ), clocked AS MATERIALIZED (
        SELECT *, CASE WHEN bucket_width < INTERVAL 1 DAY THEN timezone((SELECT zone FROM meter_settings), timezone('UTC', bucket_start)) END AS local_start FROM chosen
    ), placed AS MATERIALIZED (
        SELECT * REPLACE (session_of(symbol, local_start, bucket_width, session) AS session) FROM clocked
    ), dated AS (
        SELECT * EXCLUDE (local_start), CASE WHEN session IS NULL OR local_start IS NULL THEN bucket_start ELSE local_start END::DATE AS trading_date,
               bar_known_at(bucket_start, bucket_width, session, (SELECT zone FROM meter_settings)) AS known_at
        FROM placed
    )
    SELECT * FROM dated WHERE known_at <= until_at;

-- price_bars(for_symbol, until_at): the same of one symbol.
-- Example: FROM price_bars('BABA', TIMESTAMP '2026-11-22') ORDER BY known_at DESC LIMIT 10;
CREATE OR REPLACE MACRO price_bars(for_symbol, until_at) AS TABLE SELECT * FROM bars_of([for_symbol], until_at);

-- regular_closes(for_symbols, until_at): the close of each regular session that was known by a time. From the daily bar; failing that the last
-- regular bar of a trading date that is over, known from the end of the session on. Bars without a session count as regular.
-- Example: FROM regular_closes(['BABA'], TIMESTAMP '2026-11-22') ORDER BY trading_date DESC LIMIT 5;
CREATE OR REPLACE MACRO regular_closes(for_symbols, until_at) AS TABLE
    WITH regular AS MATERIALIZED (
        SELECT * FROM bars_of(for_symbols, until_at) WHERE coalesce(session, 'regular') = 'regular' AND bucket_width <= INTERVAL 1 DAY
    ), daily AS (
        SELECT symbol, trading_date, close, known_at, source FROM regular WHERE bucket_width = INTERVAL 1 DAY
    ), ends AS (
        SELECT symbol, trading_date, max(known_at) AS known_at FROM regular WHERE bucket_width < INTERVAL 1 DAY GROUP BY symbol, trading_date
    ), last_bars AS (
        SELECT symbol, trading_date, close, source,
               greatest(known_at, bar_known_at(trading_date::TIMESTAMP, INTERVAL 1 DAY, session, (SELECT zone FROM meter_settings))) AS known_at
        FROM regular SEMI JOIN ends USING (symbol, trading_date, known_at) WHERE bucket_width < INTERVAL 1 DAY
        QUALIFY row_number() OVER (PARTITION BY symbol, trading_date ORDER BY bucket_width DESC) = 1
    )
    SELECT * FROM daily
    UNION ALL
    SELECT symbol, trading_date, close, known_at, source FROM last_bars ANTI JOIN daily USING (symbol, trading_date) WHERE known_at <= until_at;

-- followed(of_symbols, of_group): the symbols of a text with commas between ('BABA, $jd'), in the spelling of the file; without one (NULL) those of a
-- group of the watch-list; without a group the whole watch-list. A list, NULL where there is none.
-- Example: SELECT followed('BABA, $jd', NULL);
CREATE OR REPLACE MACRO followed(of_symbols, of_group) AS (
    coalesce(list_transform(string_split(of_symbols::VARCHAR, ','), lambda word: upper(ltrim(trim(word), '$'))),
             (SELECT list(DISTINCT symbol ORDER BY symbol) FROM watchlist WHERE of_group::VARCHAR IS NULL OR group_name = of_group::VARCHAR)));
