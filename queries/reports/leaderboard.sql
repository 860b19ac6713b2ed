-- question: Which symbols are talked about most?
-- parameter: at TIMESTAMP = (SELECT max("at") FROM readings)  moment, UTC: the newest readings at or before it, at most a day older
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- parameter: limit INTEGER(1..) = 20  rows at most
-- example: tracker query leaderboard window=7d limit=10
SELECT place, symbol, "at", messages, organic, authors, expected, buzz, volume_label, previous_messages, volume_change,
       buzz_rank_before, share_of_voice, sentiment_label, sentiment_score, bullish + bearish AS opinions,
       bullish_ratio, bullish_ratio_low, bullish_ratio_high
FROM leaderboard($at, $window) ORDER BY place LIMIT $limit;
