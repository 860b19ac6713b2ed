-- question: What was in the news about a symbol?
-- Of the same title, whatever its case and numbers, the earliest stays. News is part of no count of the talk.
-- parameter: symbol VARCHAR  canonical symbol
-- parameter: until TIMESTAMP = (SELECT max(created_at) + INTERVAL 1 SECOND FROM headlines)  end, UTC; else behind the newest headline
-- parameter: since TIMESTAMP = $until - INTERVAL 7 DAY  start, UTC; else 7 days before the end
-- parameter: limit INTEGER(1..) = 50  rows at most
-- example: tracker query news symbol=BABA limit=10
SELECT created_at, publisher, title, source, url FROM headlines_between($symbol, $since, $until) ORDER BY created_at DESC, source, title LIMIT $limit;
