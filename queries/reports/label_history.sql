-- question: When was each label entered and left, and when had it been seen before?
-- parameter: symbol VARCHAR  canonical symbol, such as BABA
-- parameter: until TIMESTAMP = (SELECT max("at") FROM readings)  last moment, UTC
-- parameter: since TIMESTAMP = $until - INTERVAL 90 DAY  start, UTC; else 90 days before the end
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- example: tracker query label_history symbol=BABA
SELECT entered_at, left_at, held, label, previous_label, last_held_until
FROM label_changes($symbol, $since, $until, $window) ORDER BY entered_at DESC;
