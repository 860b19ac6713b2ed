-- question: Whose sentiment label is another one than before?
-- The labels of the 24-hour readings at two moments, where both are known; the widest move of the score first.
-- parameter: at TIMESTAMP = (SELECT max("at") FROM readings)  moment, UTC: the newest readings at or before it, at most a day older
-- parameter: since TIMESTAMP = $at - INTERVAL 1 DAY  the earlier moment, UTC; else a day before
-- parameter: limit INTEGER(1..) = 50  rows at most
-- example: tracker query changed_labels
SELECT later.symbol, earlier.sentiment_label AS label_before, later.sentiment_label AS label,
       earlier.sentiment_score AS score_before, later.sentiment_score AS score,
       earlier.bullish + earlier.bearish AS opinions_before, later.bullish + later.bearish AS opinions,
       earlier."at" AS before_at, later."at"
FROM leaderboard($at, '24h') AS later JOIN leaderboard($since, '24h') AS earlier USING (symbol)
WHERE earlier.sentiment_label <> later.sentiment_label
ORDER BY abs(later.sentiment_score - earlier.sentiment_score) DESC, later.symbol LIMIT $limit;
