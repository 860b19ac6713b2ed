-- symbol_baseline(for_days): what all readings of one symbol share whose window starts on one UTC day.
-- r: the symbol's organic messages per seasonally adjusted hour over the 28 whole days before ([meter] baseline_days), only what was listened
-- to, the 3 busiest days left out, shrunk to the pool: r = (sum + 168 r_pool) / (hours + 168), r_pool = median of
-- messages / hours over all symbols with any message in those 28 days. Symbol '*' is one that was not seen in them.
-- scale_*: max(1, 1.4826 MAD) of the Anscombe residuals A(o) - A(r * hours) over the same 28 days, same width.
-- own_*: mean and standard deviation of the symbol's own daily x over the 30 days before, from 10 days with 3 opinions.
-- Needs the rows of market_days for these days. Example: FROM symbol_baseline([DATE '2026-11-20']) WHERE symbol = 'BABA';
CREATE OR REPLACE MACRO symbol_baseline(for_days) AS TABLE
    WITH wanted AS MATERIALIZED (
        SELECT day, p0, profile, (SELECT baseline_days FROM meter_settings) AS lookback FROM market_days
        WHERE day IN (SELECT unnest(for_days)::DATE)
    ), bounds AS (
        SELECT (min(day) - any_value(lookback))::TIMESTAMP AS from_at, max(day)::TIMESTAMP AS to_at FROM wanted
    ), hearing AS (
        SELECT symbol, hour_start, streams, up FROM listening((SELECT from_at FROM bounds), (SELECT to_at FROM bounds)) WHERE source = '*'
    ), by_hour AS (
        SELECT hour_start, sum(streams) FILTER (symbol IS NULL) AS open_streams, sum(up::DECIMAL(18, 12)) FILTER (symbol IS NULL)::DOUBLE AS open_up,
               sum(streams) AS all_streams, sum(up::DECIMAL(18, 12))::DOUBLE AS all_up
        FROM hearing GROUP BY hour_start
    ), shares AS (
        -- symbols without a stream of their own are heard on the open streams, failing those on whatever there is
        SELECT '*' AS listener, hour_start, coalesce(open_up / open_streams, all_up / all_streams) AS share FROM by_hour
        UNION ALL
        SELECT hearing.symbol, hearing.hour_start, (hearing.up + coalesce(by_hour.open_up, 0)) / (hearing.streams + coalesce(by_hour.open_streams, 0))
        FROM hearing JOIN by_hour USING (hour_start) WHERE hearing.symbol IS NOT NULL
    ), placed AS MATERIALIZED (
        SELECT listener, hour_start, share, hour_of_week(hour_start, (SELECT zone FROM meter_settings)) AS h FROM shares
    ), heard_days AS (
        SELECT wanted.day, placed.listener, placed.hour_start::DATE AS on_day, sum((wanted.profile[placed.h] * placed.share)::DECIMAL(18, 14))::DOUBLE AS hours,
               count(*) FILTER (placed.share > 0) AS slots,
               min(wanted.profile[placed.h] * placed.share) FILTER (placed.share > 0) AS quietest, max(wanted.profile[placed.h] * placed.share) AS busiest
        FROM wanted JOIN placed ON placed.hour_start >= (wanted.day - wanted.lookback)::TIMESTAMP AND placed.hour_start < wanted.day::TIMESTAMP
        GROUP BY ALL
    ), daily AS MATERIALIZED (
        SELECT symbol, bucket_start::DATE AS on_day, organic, bullish, bearish FROM buckets
        WHERE source = '*' AND bucket_width = INTERVAL 1 DAY
          AND bucket_start >= (SELECT from_at - INTERVAL 30 DAY FROM bounds) AND bucket_start < (SELECT to_at FROM bounds)
    ), seen AS MATERIALIZED (
        SELECT DISTINCT wanted.day, daily.symbol,
               coalesce(own_stream.listener, '*') AS listener
        FROM wanted JOIN daily ON daily.on_day >= wanted.day - wanted.lookback AND daily.on_day < wanted.day
        LEFT JOIN (SELECT DISTINCT day, listener FROM heard_days) AS own_stream ON own_stream.day = wanted.day AND own_stream.listener = daily.symbol
        UNION ALL
        SELECT day, '*', '*' FROM wanted
    ), dense AS MATERIALIZED (
        SELECT seen.day, seen.symbol, heard_days.on_day, coalesce(daily.organic, 0) AS organic, heard_days.hours,
               heard_days.slots, heard_days.quietest, heard_days.busiest
        FROM seen JOIN heard_days ON heard_days.day = seen.day AND heard_days.listener = seen.listener
        LEFT JOIN daily ON daily.symbol = seen.symbol AND daily.on_day = heard_days.on_day
        WHERE heard_days.hours > 0
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY day, symbol ORDER BY organic DESC, on_day DESC) AS busy_rank FROM dense
    ), sums AS (
        SELECT day, symbol, sum(organic) AS organic, sum(hours::DECIMAL(18, 14))::DOUBLE AS all_hours,
               sum(slots) AS slots, min(quietest) AS quietest, max(busiest) AS busiest,
               coalesce(sum(organic) FILTER (busy_rank > 3), 0) AS kept, coalesce(sum(hours::DECIMAL(18, 14)) FILTER (busy_rank > 3), 0)::DOUBLE AS kept_hours
        FROM ranked GROUP BY ALL
        UNION ALL
        -- a name that was never seen has an expectation even where nothing but other symbols' own streams was listened to
        SELECT day, '*', 0, 0, 0, NULL, NULL, 0, 0 FROM wanted WHERE day NOT IN (SELECT day FROM dense WHERE symbol = '*')
    ), pool AS (
        SELECT day, median(organic / all_hours) AS pool_rate FROM sums WHERE symbol <> '*' GROUP BY day
    ), rates AS MATERIALIZED (
        SELECT sums.day, sums.symbol, (sums.kept + 168 * pool.pool_rate) / (sums.kept_hours + 168) AS rate, pool.pool_rate,
               sums.kept_hours AS hours, sums.organic, sums.slots, sums.quietest, sums.busiest
        FROM sums JOIN pool USING (day)
    ), by_day AS (
        SELECT dense.day, dense.symbol, greatest(1.0, 1.4826 * mad(anscombe(dense.organic) - anscombe(rates.rate * dense.hours))) AS scale
        FROM dense JOIN rates USING (day, symbol) GROUP BY ALL
    ), by_week AS (
        SELECT day, symbol, greatest(1.0, 1.4826 * mad(anscombe(organic) - anscombe(rate * hours))) AS scale
        FROM (SELECT dense.day, dense.symbol, any_value(rates.rate) AS rate, sum(dense.organic) AS organic, sum(dense.hours::DECIMAL(18, 14))::DOUBLE AS hours
              FROM dense JOIN rates USING (day, symbol) GROUP BY dense.day, dense.symbol, ((dense.day - dense.on_day - 1) // 7))
        GROUP BY ALL
    ), spoken AS MATERIALIZED (
        SELECT symbol, bucket_start, organic FROM buckets
        WHERE source = '*' AND bucket_width = INTERVAL 1 HOUR AND organic > 0
          AND bucket_start >= (SELECT from_at FROM bounds) AND bucket_start < (SELECT to_at FROM bounds)
    ), spoken_hours AS (
        SELECT rates.day, rates.symbol, count(*) AS hours FROM rates JOIN spoken
          ON spoken.symbol = rates.symbol AND spoken.bucket_start >= (rates.day - (SELECT any_value(lookback) FROM wanted))::TIMESTAMP AND spoken.bucket_start < rates.day::TIMESTAMP
        WHERE rates.organic >= 0.4 * rates.slots GROUP BY ALL
    ), busy AS (
        -- While more than half of the hours are silent, the MAD can't exceed the spread of the silent residuals:
        -- if even that stays below 1 after scaling, the scale is 1 and nobody needs to look at 672 hours.
        SELECT rates.day, rates.symbol, rates.rate FROM rates LEFT JOIN spoken_hours USING (day, symbol)
        WHERE 2 * coalesce(spoken_hours.hours, 0) >= 0.9 * rates.slots
           OR 1.4826 * (anscombe(rates.rate * rates.busiest) - anscombe(rates.rate * rates.quietest)) > 1
    ), by_hour_scale AS (
        SELECT busy.day, busy.symbol,
               greatest(1.0, 1.4826 * mad(anscombe(coalesce(spoken.organic, 0)) - anscombe(busy.rate * wanted.profile[placed.h] * placed.share))) AS scale
        FROM busy JOIN wanted USING (day) JOIN seen USING (day, symbol)
        JOIN placed ON placed.listener = seen.listener AND placed.share > 0
                   AND placed.hour_start >= (busy.day - wanted.lookback)::TIMESTAMP AND placed.hour_start < busy.day::TIMESTAMP
        LEFT JOIN spoken ON spoken.symbol = busy.symbol AND spoken.bucket_start = placed.hour_start
        GROUP BY ALL
    ), own AS (
        SELECT wanted.day, daily.symbol, count(*) AS days,
               avg(shrunken_log_odds(daily.bullish, daily.bearish, wanted.p0, (SELECT k FROM meter_settings)) ORDER BY daily.on_day) AS mean_x,
               stddev_samp(shrunken_log_odds(daily.bullish, daily.bearish, wanted.p0, (SELECT k FROM meter_settings)) ORDER BY daily.on_day) AS sd_x
        FROM wanted JOIN daily ON daily.on_day >= wanted.day - 30 AND daily.on_day < wanted.day
        WHERE daily.bullish + daily.bearish >= 3 GROUP BY ALL
    )
    SELECT rates.symbol, rates.day, rates.rate, rates.pool_rate, rates.hours, rates.organic::BIGINT AS organic,
           coalesce(by_hour_scale.scale, 1.0) AS scale_hour, coalesce(by_day.scale, 1.0) AS scale_day, coalesce(by_week.scale, 1.0) AS scale_week,
           CASE WHEN own.days >= 10 THEN own.mean_x END AS own_mean, CASE WHEN own.days >= 10 THEN own.sd_x END AS own_sd,
           coalesce(own.days, 0) AS own_days
    FROM rates LEFT JOIN by_day USING (day, symbol) LEFT JOIN by_week USING (day, symbol)
    LEFT JOIN by_hour_scale USING (day, symbol) LEFT JOIN own USING (day, symbol);

-- baselines(for_symbol, since_day, until_day): the stored ones, with what the market shares on that day.
-- Example: FROM baselines('BABA', DATE '2026-11-01', DATE '2026-11-22');
CREATE OR REPLACE MACRO baselines(for_symbol, since_day, until_day) AS TABLE
    SELECT symbol_days.*, market_days.p0, market_days.s0, market_days.habit, market_days.symbol_days, market_days.profile_weeks
    FROM symbol_days JOIN market_days USING (day)
    WHERE symbol_days.symbol = for_symbol AND day >= since_day AND day < until_day ORDER BY day;
