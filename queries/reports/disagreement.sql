-- question: About which symbols do people disagree most?
-- parameter: at TIMESTAMP = (SELECT max("at") FROM readings)  moment, UTC: the newest readings at or before it, at most a day older
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- parameter: least INTEGER(2..) = 10  opinions at least
-- parameter: limit INTEGER(1..) = 20  rows at most
-- example: tracker query disagreement window=7d
SELECT symbol, "at", agreement, bullish_ratio, bullish_ratio_low, bullish_ratio_high, bullish, bearish, neutral, organic, sentiment_label
FROM leaderboard($at, $window) WHERE bullish + bearish >= $least ORDER BY agreement, bullish + bearish DESC, symbol LIMIT $limit;
