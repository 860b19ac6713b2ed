-- question: How did the mood on one symbol develop?
-- parameter: symbol VARCHAR  canonical symbol, such as BABA
-- parameter: until TIMESTAMP = (SELECT max("at") FROM readings)  last moment, UTC
-- parameter: since TIMESTAMP = $until - INTERVAL 30 DAY  start, UTC; else 30 days before the end
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- example: tracker query sentiment_history symbol=BABA window=7d
SELECT "at", messages, organic, bullish, bearish, neutral, bullish_ratio, bullish_ratio_low, bullish_ratio_high,
       sentiment_score, sentiment_label, volume_score, volume_label, volume_change, sources_up
FROM sentiment_history($symbol, $since, $until, $window) ORDER BY "at";
