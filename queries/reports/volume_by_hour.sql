-- question: How many messages name a symbol, hour by hour?
-- messages is 0 where people were listened to and silent, and NULL where nobody listened.
-- parameter: symbol VARCHAR  canonical symbol, such as BABA
-- parameter: until TIMESTAMP = (SELECT date_trunc('hour', max(created_at)) + INTERVAL 1 HOUR FROM mentions)  end, UTC, exclusive; else the end of the newest hour with a message
-- parameter: since TIMESTAMP = $until - INTERVAL 2 DAY  start, UTC; else 2 days before the end
-- example: tracker query volume_by_hour symbol=BABA since=2026-11-20 until=2026-11-22
SELECT bucket_start, messages, organic, authors, up
FROM message_volume($symbol, $since, $until, INTERVAL 1 HOUR) ORDER BY bucket_start;
