-- bullish_ratios(for_symbol, since_at, until_at, of_width): B / (B + S) of the organic messages with its Wilson 95 %
-- interval, bullishness and agreement (Antweiler & Frank 2004) per interval; NULL where nobody had an opinion.
-- Example: FROM bullish_ratios('BABA', TIMESTAMP '2026-11-15', TIMESTAMP '2026-11-22', INTERVAL 1 DAY);
CREATE OR REPLACE MACRO bullish_ratios(for_symbol, since_at, until_at, of_width) AS TABLE
    SELECT bucket_start, organic, bullish, bearish, neutral, ratio_of(bullish, bearish) AS bullish_ratio,
           wilson_low(bullish, bearish) AS bullish_ratio_low, wilson_high(bullish, bearish) AS bullish_ratio_high,
           bullishness_of(bullish, bearish) AS bullishness, agreement_of(bullish, bearish) AS agreement
    FROM buckets
    WHERE symbol = for_symbol AND source = '*' AND bucket_width = of_width
      AND bucket_start >= time_bucket(of_width, since_at, TIMESTAMP '2000-01-01') AND bucket_start < until_at
    ORDER BY bucket_start;
