-- question: What is talked about in the last 24 hours that nobody named in the 24 hours before?
-- parameter: at TIMESTAMP = (SELECT max("at") FROM readings)  moment, UTC: the newest readings at or before it, at most a day older
-- parameter: least INTEGER(1..) = 3  messages at least
-- parameter: limit INTEGER(1..) = 20  rows at most
-- example: tracker query new_today least=5
SELECT symbol, "at", messages, organic, authors, expected, volume_label, copied_ratio, sentiment_label, bullish + bearish AS opinions
FROM leaderboard($at, '24h') WHERE previous_messages = 0 AND messages >= $least ORDER BY place LIMIT $limit;
