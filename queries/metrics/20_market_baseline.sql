-- market_baseline(for_days): what all readings of one UTC day share, one row per day asked for.
-- p0, s0: the habit of the market. p0 = sum B / sum (B + S) over all symbols in the 90 whole days before; s0 = 1.4826 MAD of the
-- shrunken log-odds x over all (symbol, day) with at least 5 opinions in them, at least 0.5. With fewer than 200
-- such symbol-days 0.70 and 0.90 stand and habit says 'default'.
-- profile: the clock of the week f(h). 168 * median over the 8 weeks before of the share of that week's organic
-- mentions that fall in hour h of the week in the market's zone, scaled to mean 1. A week counts when our data
-- reach back to its start and it has any message; fewer than 2 such weeks make it flat.
-- Example: SELECT day, p0, s0, habit FROM market_baseline([DATE '2026-11-20']);
CREATE OR REPLACE MACRO market_baseline(for_days) AS TABLE
    WITH wanted AS (
        SELECT days.day, settings.k FROM (SELECT DISTINCT unnest(for_days)::DATE AS day) AS days CROSS JOIN meter_settings AS settings
    ), daily AS (
        SELECT symbol, bucket_start::DATE AS day, bullish, bearish FROM buckets
        WHERE source = '*' AND bucket_width = INTERVAL 1 DAY AND bullish + bearish > 0
    ), sums AS (
        SELECT wanted.day, any_value(wanted.k) AS k, sum(daily.bullish) / sum(daily.bullish + daily.bearish) AS p0, count(*) FILTER (daily.bullish + daily.bearish >= 5) AS symbol_days
        FROM wanted JOIN daily ON daily.day >= wanted.day - 90 AND daily.day < wanted.day GROUP BY wanted.day
    ), odds AS (
        SELECT sums.day, shrunken_log_odds(daily.bullish, daily.bearish, sums.p0, sums.k) AS x
        FROM sums JOIN daily ON daily.day >= sums.day - 90 AND daily.day < sums.day
        WHERE daily.bullish + daily.bearish >= 5 AND sums.symbol_days >= 200 AND sums.p0 > 0 AND sums.p0 < 1
    ), spread AS (
        SELECT day, greatest(0.5, 1.4826 * mad(x)) AS s0 FROM odds GROUP BY day
    ), hourly AS (
        SELECT bucket_start, hour_of_week(bucket_start, (SELECT zone FROM meter_settings)) AS h, organic
        FROM (SELECT bucket_start, sum(organic) AS organic FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 1 HOUR
                AND bucket_start >= (SELECT min(day) - 56 FROM wanted)::TIMESTAMP AND bucket_start < (SELECT max(day) FROM wanted)::TIMESTAMP GROUP BY bucket_start)
    ), weeks AS (
        SELECT wanted.day, back.k, (wanted.day - 7 * back.k)::TIMESTAMP AS from_at, (wanted.day - 7 * back.k + 7)::TIMESTAMP AS to_at
        FROM wanted CROSS JOIN (SELECT unnest(range(1, 9))::INTEGER AS k) AS back
        WHERE (wanted.day - 7 * back.k)::TIMESTAMP >= (SELECT date_trunc('day', min(bucket_start)) FROM buckets)
    ), placed AS (
        SELECT weeks.day, weeks.k, hourly.h, sum(hourly.organic) AS organic
        FROM weeks JOIN hourly ON hourly.bucket_start >= weeks.from_at AND hourly.bucket_start < weeks.to_at GROUP BY ALL
    ), totals AS (
        SELECT day, k, sum(organic) AS organic FROM placed GROUP BY ALL HAVING sum(organic) > 0
    ), shares AS (
        SELECT totals.day, slots.h, median(coalesce(placed.organic, 0) / totals.organic) AS share
        FROM totals CROSS JOIN (SELECT unnest(range(1, 169))::INTEGER AS h) AS slots
        LEFT JOIN placed ON placed.day = totals.day AND placed.k = totals.k AND placed.h = slots.h
        GROUP BY ALL
    ), profiles AS (
        SELECT day, list(share ORDER BY h) AS by_hour, list_avg(list(share ORDER BY h)) AS mean_share FROM shares GROUP BY day
    ), counted AS (
        SELECT day, count(*) AS profile_weeks FROM totals GROUP BY day
    )
    SELECT wanted.day,
           CASE WHEN spread.day IS NOT NULL THEN sums.p0 ELSE 0.70 END AS p0,
           coalesce(spread.s0, 0.90) AS s0,
           coalesce(sums.symbol_days, 0) AS symbol_days,
           CASE WHEN spread.day IS NOT NULL THEN 'stored' ELSE 'default' END AS habit,
           CASE WHEN coalesce(counted.profile_weeks, 0) >= 2 AND profiles.mean_share > 0
                THEN list_transform(profiles.by_hour, lambda share: share / profiles.mean_share)
                ELSE list_transform(range(168), lambda h: 1.0::DOUBLE) END AS profile,
           coalesce(counted.profile_weeks, 0)::INTEGER AS profile_weeks
    FROM wanted LEFT JOIN sums USING (day) LEFT JOIN spread USING (day) LEFT JOIN profiles USING (day) LEFT JOIN counted USING (day);
