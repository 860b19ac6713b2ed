-- question: Which messages about a symbol were passed on and liked most?
-- Counts are those last seen; NULL where the source gives none. Text is NULL after retention.
-- parameter: symbol VARCHAR  canonical symbol, such as BABA
-- parameter: until TIMESTAMP = (SELECT date_trunc('hour', max(created_at)) + INTERVAL 1 HOUR FROM mentions)  end, UTC, exclusive; else the end of the newest hour with a message
-- parameter: since TIMESTAMP = $until - INTERVAL 7 DAY  start, UTC; else 7 days before the end
-- parameter: limit INTEGER(1..) = 10  rows at most
-- example: tracker query top_messages symbol=BABA limit=5
SELECT messages.created_at, messages.source, messages.reshares, messages.likes, messages.replies, mentions.stance, mentions.tone,
       messages.label, shown_text(messages.source, messages.text) AS text, messages.url, messages.id
FROM mentions JOIN messages ON messages.source = mentions.source AND messages.id = mentions.message_id AND messages.created_at = mentions.created_at
WHERE mentions.symbol = $symbol AND mentions.created_at >= $since AND mentions.created_at < $until AND NOT mentions.reshare
ORDER BY coalesce(messages.reshares, 0) + coalesce(messages.likes, 0) DESC, messages.created_at DESC, messages.source, messages.id LIMIT $limit;
