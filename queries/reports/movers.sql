-- question: Which symbols are talked about far more than was to be expected?
-- parameter: at TIMESTAMP = (SELECT max("at") FROM readings)  moment, UTC: the newest readings at or before it, at most a day older
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- parameter: least INTEGER(1..) = 5  organic messages in the window at least
-- parameter: limit INTEGER(1..) = 20  rows at most
-- example: tracker query movers least=10
SELECT symbol, "at", messages, organic, authors, expected, buzz, volume_z, volume_label, previous_messages, volume_change,
       copied_ratio, sentiment_label, bullish + bearish AS opinions
FROM movers($at, $window) WHERE organic >= $least ORDER BY volume_z DESC, symbol LIMIT $limit;
