-- symbol_baseline(for_days): what all readings of one symbol share whose window starts on one UTC day.
-- r: the symbol's organic messages per seasonally adjusted hour over the 28 whole days before ([meter] baseline_days), only what was listened
-- to, the 3 busiest days left out, shrunk to the pool: r = (sum + 168 r_pool) / (hours + 168), r_pool = median of
-- messages / hours over all symbols with any message in those 28 days. Symbol '*' is one that was not seen in them.
-- scale_*: max(1, 1.4826 MAD) of the Anscombe residuals A(o) - A(r * hours) over the same 28 days, same width. Those of hours and of
-- five minutes are in residual_scales: they look at 672 and 8,064 slots, and are made for whom they are needed.
-- slots, quietest, busiest: hours that were listened to, and the smallest and largest f(h) * share among them.
-- own_*: mean and standard deviation of the symbol's own daily x over the 30 days before, from 10 days with 3 opinions.
-- Needs the rows of market_days for these days. Example: FROM symbol_baseline([DATE '2026-11-20']) WHERE symbol = 'BABA';
CREATE OR REPLACE MACRO symbol_baseline(for_days) AS TABLE
    WITH wanted AS MATERIALIZED (
        SELECT market_days.day, market_days.p0, market_days.profile, settings.baseline_days AS lookback, settings.k
        FROM market_days CROSS JOIN meter_settings AS settings WHERE market_days.day IN (SELECT unnest(for_days)::DATE)
    ), bounds AS (
        SELECT (min(day) - any_value(lookback))::TIMESTAMP AS from_at, max(day)::TIMESTAMP AS to_at FROM wanted
    ), placed AS MATERIALIZED (
        SELECT listener, hour_start, share, hour_of_week(hour_start, (SELECT zone FROM meter_settings)) AS h
        FROM listened_shares((SELECT from_at FROM bounds), (SELECT to_at FROM bounds))
    ), heard_days AS MATERIALIZED (
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
    ), odds AS MATERIALIZED (
        SELECT wanted.day, daily.symbol, shrunken_log_odds(daily.bullish, daily.bearish, wanted.p0, wanted.k) AS x
        FROM wanted JOIN daily ON daily.on_day >= wanted.day - 30 AND daily.on_day < wanted.day
        WHERE daily.bullish + daily.bearish >= 3
    ), means AS (
        -- decimals again, and the deviations in a second pass: no digit depends on the order of the rows, and none is lost
        SELECT day, symbol, count(*) AS days, sum(x::DECIMAL(18, 12))::DOUBLE / count(*) AS mean_x FROM odds GROUP BY ALL HAVING count(*) >= 10
    ), own AS (
        SELECT day, symbol, any_value(means.days) AS days, any_value(means.mean_x) AS mean_x,
               sqrt(sum(((odds.x - means.mean_x) ** 2)::DECIMAL(38, 24))::DOUBLE / (any_value(means.days) - 1)) AS sd_x
        FROM odds JOIN means USING (day, symbol) GROUP BY ALL
    ), opinionated AS (
        SELECT day, symbol, count(*) AS days FROM odds GROUP BY ALL
    )
    SELECT rates.symbol, rates.day, rates.rate, rates.pool_rate, rates.hours, rates.organic::BIGINT AS organic,
           coalesce(by_day.scale, 1.0) AS scale_day, coalesce(by_week.scale, 1.0) AS scale_week,
           own.mean_x AS own_mean, own.sd_x AS own_sd, coalesce(opinionated.days, 0) AS own_days, rates.slots::BIGINT AS slots, coalesce(rates.quietest, 0) AS quietest, coalesce(rates.busiest, 0) AS busiest
    FROM rates LEFT JOIN by_day USING (day, symbol) LEFT JOIN by_week USING (day, symbol) LEFT JOIN own USING (day, symbol)
    LEFT JOIN opinionated USING (day, symbol);

-- baselines(for_symbol, since_day, until_day): the stored ones, with what the market shares on that day.
-- Example: FROM baselines('BABA', DATE '2026-11-01', DATE '2026-11-22');
CREATE OR REPLACE MACRO baselines(for_symbol, since_day, until_day) AS TABLE
    SELECT symbol_days.*, CASE WHEN hour_scale_days.day IS NOT NULL THEN coalesce(hour_scales.scale, 1.0) END AS scale_hour,
           market_days.p0, market_days.s0, market_days.habit, market_days.symbol_days, market_days.profile_weeks
    FROM symbol_days JOIN market_days USING (day) LEFT JOIN hour_scale_days USING (day) LEFT JOIN hour_scales USING (symbol, day)
    WHERE symbol_days.symbol = for_symbol AND day >= since_day AND day < until_day ORDER BY day;
