-- question: How do the symbols of a group stand side by side?
-- Mood, volume and price of each, from the newest reading at most a day old.
-- parameter: at TIMESTAMP = (SELECT max("at") FROM readings)  moment, UTC
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- parameter: group VARCHAR = NULL  a group of the configuration; else the whole watch-list
-- example: tracker query peers group=china_tech
SELECT symbol, messages, organic, expected, volume_change, volume_label, bullish_ratio, opinions, sentiment_score, sentiment_label,
       price, session_change, session_date, year_change, price_at, "at"
FROM group_readings($group, $at, $window) ORDER BY organic DESC NULLS LAST, symbol;
