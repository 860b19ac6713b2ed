-- question: What did the price of one symbol do after each reading?
-- For study: returns run from the price known at the time of the reading, which no reading ever uses. Empty where nothing is known.
-- parameter: symbol VARCHAR  canonical symbol, such as BABA
-- parameter: until TIMESTAMP = (SELECT max("at") FROM readings)  last moment, UTC
-- parameter: since TIMESTAMP = $until - INTERVAL 30 DAY  start, UTC; else 30 days before the end
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- example: tracker query sentiment_vs_price symbol=BABA window=24h
SELECT * FROM sentiment_vs_price($symbol, $since, $until, $window) ORDER BY "at";
