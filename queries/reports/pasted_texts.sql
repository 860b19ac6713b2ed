-- question: Which texts are pasted most, by how many authors, about what?
-- parameter: until TIMESTAMP = (SELECT date_trunc('hour', max(created_at)) + INTERVAL 1 HOUR FROM mentions)  end, UTC, exclusive; else the end of the newest hour with a message
-- parameter: since TIMESTAMP = $until - INTERVAL 7 DAY  start, UTC; else 7 days before the end
-- parameter: limit INTEGER(1..) = 20  rows at most
-- example: tracker query pasted_texts limit=5
WITH said AS (
    SELECT text_key, count(DISTINCT (source, message_id)) AS times, count(DISTINCT author) AS authors,
           list(DISTINCT symbol ORDER BY symbol) AS symbols, min(created_at) AS first_at, max(created_at) AS last_at,
           arg_min((source, message_id), created_at) AS first_said
    FROM mentions WHERE created_at >= $since AND created_at < $until AND text_key IS NOT NULL
    GROUP BY text_key HAVING count(DISTINCT (source, message_id)) > 1
    ORDER BY times DESC, first_at, text_key LIMIT $limit
)
SELECT said.times, said.authors, said.symbols, said.first_at, said.last_at, shown_text(messages.source, messages.text) AS text
FROM said LEFT JOIN messages ON (messages.source, messages.id) = said.first_said
ORDER BY said.times DESC, said.first_at, said.text_key;
