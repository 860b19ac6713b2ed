-- question: Which jumps in volume are one text pasted again and again?
-- For each copied spike the wording that was said most often in it; NULL text: retention has taken it.
-- parameter: until TIMESTAMP = (SELECT max(bucket_start) + INTERVAL 1 DAY FROM buckets)  end, UTC, exclusive; else after the newest bucket
-- parameter: since TIMESTAMP = $until - INTERVAL 30 DAY  start, UTC; else 30 days before the end
-- parameter: limit INTEGER(1..) = 50  rows at most
-- example: tracker query copied_spikes since=2026-11-01 until=2026-11-22
WITH found AS (
    SELECT * FROM spikes WHERE kind = 'copied' AND bucket_start >= $since AND bucket_start < $until
), wordings AS (
    SELECT found.symbol, found.bucket_width, found.bucket_start, mentions.text_key, count(*) AS times, count(DISTINCT mentions.author) AS authors,
           arg_min((mentions.source, mentions.message_id), mentions.created_at) AS first_said
    FROM found JOIN mentions ON mentions.symbol = found.symbol AND mentions.created_at >= found.bucket_start
                            AND mentions.created_at < found.bucket_start + found.bucket_width
    WHERE mentions.text_key IS NOT NULL GROUP BY ALL
), most AS (
    SELECT * FROM wordings
    QUALIFY row_number() OVER (PARTITION BY symbol, bucket_width, bucket_start ORDER BY times DESC, text_key) = 1
)
SELECT found.symbol, found.bucket_width, found.bucket_start, found.messages, found.organic, found.texts, found.authors, found.severity,
       most.times AS pasted, most.authors AS pasted_by, shown_text(messages.source, messages.text) AS text
FROM found LEFT JOIN most USING (symbol, bucket_width, bucket_start)
LEFT JOIN messages ON (messages.source, messages.id) = most.first_said
ORDER BY found.bucket_start DESC, found.messages DESC, found.symbol LIMIT $limit;
