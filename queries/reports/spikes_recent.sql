-- question: Where has message volume jumped?
-- Organic and copied spikes side by side: `kind` tells which.
-- parameter: until TIMESTAMP = (SELECT max(bucket_start) + INTERVAL 1 DAY FROM buckets)  end, UTC, exclusive; else after the newest bucket
-- parameter: since TIMESTAMP = $until - INTERVAL 7 DAY  start, UTC; else 7 days before the end
-- parameter: width INTERVAL = NULL  5m, 1h or 1d; else all three
-- parameter: symbol VARCHAR = NULL  only this symbol; else all
-- parameter: limit INTEGER(1..) = 50  rows at most
-- example: tracker query spikes_recent width=1h symbol=BABA
SELECT symbol, bucket_width, bucket_start, messages, organic, authors, texts, expected, z, p_value, severity, kind, top_message_id, found_at
FROM spikes
WHERE bucket_start >= $since AND bucket_start < $until
  AND ($width::INTERVAL IS NULL OR bucket_width = $width::INTERVAL) AND ($symbol::VARCHAR IS NULL OR symbol = $symbol::VARCHAR)
ORDER BY bucket_start DESC, bucket_width, z DESC, symbol LIMIT $limit;
