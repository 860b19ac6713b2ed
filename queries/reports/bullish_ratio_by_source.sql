-- question: Do the sources agree about a symbol?
-- parameter: symbol VARCHAR  canonical symbol, such as BABA
-- parameter: until TIMESTAMP = (SELECT date_trunc('hour', max(created_at)) + INTERVAL 1 HOUR FROM mentions)  end, UTC, exclusive; else the end of the newest hour with a message
-- parameter: since TIMESTAMP = $until - INTERVAL 7 DAY  start, UTC; else 7 days before the end
-- example: tracker query bullish_ratio_by_source symbol=BABA
WITH summed AS (
    SELECT source, sum(messages)::BIGINT AS messages, sum(organic)::BIGINT AS organic, sum(bullish)::BIGINT AS bullish,
           sum(bearish)::BIGINT AS bearish, sum(neutral)::BIGINT AS neutral, sum(labelled_bullish + labelled_bearish)::BIGINT AS labelled
    FROM buckets
    WHERE symbol = $symbol AND bucket_width = INTERVAL 1 HOUR AND bucket_start >= $since AND bucket_start < $until
    GROUP BY source
)
SELECT CASE source WHEN '*' THEN 'all' ELSE source END AS source, messages, organic, bullish, bearish, neutral, labelled,
       ratio_of(bullish, bearish) AS bullish_ratio, wilson_low(bullish, bearish) AS bullish_ratio_low,
       wilson_high(bullish, bearish) AS bullish_ratio_high, agreement_of(bullish, bearish) AS agreement
FROM summed ORDER BY messages DESC, source;
