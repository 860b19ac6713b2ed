-- rollup, third step: which spikes have to be told in words (`untold_spikes`), and which keep the words that they had (`told_spikes`).
-- A spike keeps them when nothing of what they come from has changed: its messages are the same, and no day before its own was touched. It
-- also keeps them when its words are past their time: they can't be found again.
CREATE OR REPLACE TEMP TABLE kept_spikes AS
    WITH edges AS (
        SELECT (SELECT min(created_at) FROM messages WHERE text IS NOT NULL) AS text_from, (SELECT from_at::DATE FROM relisten_from) AS first_day
    )
    SELECT told.symbol, told.bucket_width, told.bucket_start, told.top_terms
    FROM told_spikes AS told JOIN spikes USING (symbol, bucket_width, bucket_start) CROSS JOIN edges
    WHERE coalesce(told.bucket_start + told.bucket_width <= edges.text_from, true)
       OR told.bucket_start::DATE = edges.first_day
      AND told.messages = spikes.messages AND told.organic = spikes.organic AND told.authors = spikes.authors AND told.texts = spikes.texts
      AND told.found_at = spikes.found_at AND told.expected = spikes.expected;
UPDATE spikes SET top_terms = kept_spikes.top_terms FROM kept_spikes
    WHERE spikes.symbol = kept_spikes.symbol AND spikes.bucket_width = kept_spikes.bucket_width AND spikes.bucket_start = kept_spikes.bucket_start;
CREATE OR REPLACE TEMP TABLE untold_spikes AS
    SELECT symbol, bucket_width, bucket_start FROM spikes ANTI JOIN kept_spikes USING (symbol, bucket_width, bucket_start)
    WHERE bucket_start >= (SELECT from_at FROM relisten_from)
      AND bucket_start + bucket_width > (SELECT min(created_at) FROM messages WHERE text IS NOT NULL);
