-- question: Which were the biggest moves of my symbols, and what did the meter say the evening before?
-- A move is a regular close against the one before it. The reading is the newest one of 24 hours before the market's midnight at which the
-- trading day began, at most a day older; empty where there is none.
-- parameter: until TIMESTAMP = (SELECT max("at") FROM readings)  closes known up to this moment, UTC
-- parameter: since TIMESTAMP = $until - INTERVAL 90 DAY  start, UTC; else 90 days before the end
-- parameter: group VARCHAR = NULL  only this group of the configuration
-- parameter: symbols VARCHAR = NULL  instead of the watch-list these, with commas between
-- parameter: limit INTEGER(1..) = 20  rows at most
-- example: tracker query price_moves symbols=BABA,JD limit=10
WITH asked AS MATERIALIZED (
    SELECT DISTINCT unnest(followed($symbols, $group)) AS symbol
), moves AS (
    SELECT symbol, trading_date, close, close / lag(close) OVER (PARTITION BY symbol ORDER BY trading_date) - 1 AS change, known_at,
           timezone('UTC', timezone((SELECT zone FROM meter_settings), trading_date::TIMESTAMP)) AS began_at
    FROM regular_closes((SELECT list(symbol) FROM asked), $until)
), told AS (
    SELECT symbol, "at" AS reading_at, sentiment_label, sentiment_score, bullish + bearish AS opinions, volume_label, volume_z, messages FROM readings
    WHERE window_name = '24h' AND "at" >= $since - INTERVAL 2 DAY AND "at" <= $until AND symbol IN (SELECT symbol FROM asked)
), beside AS (
    SELECT moves.*, told.* EXCLUDE (symbol), told.reading_at > moves.began_at - INTERVAL 1 DAY AS is_fresh
    FROM moves ASOF LEFT JOIN told ON told.symbol = moves.symbol AND moves.began_at >= told.reading_at
    WHERE moves.change IS NOT NULL AND moves.known_at > $since
)
SELECT symbol, trading_date, change, close, CASE WHEN is_fresh THEN reading_at END AS reading_at,
       CASE WHEN is_fresh THEN sentiment_label END AS sentiment_label, CASE WHEN is_fresh THEN sentiment_score END AS sentiment_score,
       CASE WHEN is_fresh THEN opinions END AS opinions, CASE WHEN is_fresh THEN volume_label END AS volume_label,
       CASE WHEN is_fresh THEN volume_z END AS volume_z, CASE WHEN is_fresh THEN messages END AS messages
FROM beside ORDER BY abs(change) DESC, trading_date DESC, symbol LIMIT $limit;
