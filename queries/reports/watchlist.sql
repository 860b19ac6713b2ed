-- question: How do the symbols that I follow stand?
-- parameter: at TIMESTAMP = (SELECT max("at") FROM readings)  moment, UTC: the newest readings at or before it, at most a day older
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- parameter: group VARCHAR = NULL  only this group of the configuration; else the whole list
-- example: tracker query watchlist
WITH moment AS (
    SELECT max("at") AS newest FROM readings WHERE window_name = $window AND "at" <= $at AND "at" > $at - INTERVAL 1 DAY
), followed AS (
    SELECT symbol, list(DISTINCT group_name ORDER BY group_name) FILTER (group_name IS NOT NULL) AS groups FROM watchlist
    WHERE $group::VARCHAR IS NULL OR group_name = $group::VARCHAR GROUP BY symbol
)
SELECT followed.symbol, followed.groups, readings."at", readings.messages, readings.organic, readings.authors, readings.expected,
       readings.volume_label, readings.previous_messages, readings.volume_change, readings.sentiment_label, readings.sentiment_score,
       readings.bullish + readings.bearish AS opinions, readings.bullish_ratio, readings.bullish_ratio_low, readings.bullish_ratio_high
FROM followed LEFT JOIN readings ON readings.symbol = followed.symbol AND readings.window_name = $window AND readings."at" = (SELECT newest FROM moment)
ORDER BY readings.organic DESC NULLS LAST, followed.symbol;
