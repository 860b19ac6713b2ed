-- question: Where is the mood unusual for the symbol itself?
-- sentiment_z_own compares with the symbol's own daily mood over the 30 days before; symbols with fewer than 10 such days are left out.
-- parameter: at TIMESTAMP = (SELECT max("at") FROM readings)  moment, UTC: the newest readings at or before it, at most a day older
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- parameter: limit INTEGER(1..) = 20  rows at most
-- example: tracker query unusual_sentiment
SELECT symbol, "at", sentiment_z_own, sentiment_label, sentiment_score, bullish, bearish, bullish_ratio, bullish_ratio_low, bullish_ratio_high, organic
FROM leaderboard($at, $window) WHERE sentiment_z_own IS NOT NULL ORDER BY abs(sentiment_z_own) DESC, symbol LIMIT $limit;
