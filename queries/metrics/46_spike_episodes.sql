-- spike_episodes(since_at, until_at): runs of spikes of one symbol, width and kind with at most one quiet bucket between two of them.
-- Of what was known by until_at (a bucket that was over by then, or wholly known), the episodes that reach into [since_at, until_at), whole:
-- their start may lie before it. A copied burst is a run of its own: for an organic one its bucket is quiet, and the other way round.
-- over_at = when two quiet buckets have passed, so that it can't go on. peak_z, peak_start, severity and top_terms are of its strongest bucket (the first
-- of equals), authors the most in one bucket, messages, organic and expected sums over its spike buckets. rose_at = end of the first bucket that
-- was more severe than the first one; NULL while it never rose. found_at = when the last of it became known.
-- Example: FROM spike_episodes(TIMESTAMP '2026-11-15', TIMESTAMP '2026-11-22') WHERE kind = 'organic' ORDER BY peak_z DESC;
CREATE OR REPLACE MACRO spike_episodes(since_at, until_at) AS TABLE
    WITH known AS (
        SELECT *, bucket_start + bucket_width AS bucket_end,
               lag(bucket_start) OVER (PARTITION BY symbol, bucket_width, kind ORDER BY bucket_start) AS last_start
        FROM spikes WHERE bucket_start < until_at AND (bucket_start + bucket_width <= until_at OR found_at <= until_at)
    ), numbered AS (
        SELECT *, count(*) FILTER (coalesce(bucket_start > last_start + 2 * bucket_width, true)) OVER (PARTITION BY symbol, bucket_width, kind ORDER BY bucket_start) AS run
        FROM known
    ), ranked AS (
        SELECT *, CASE severity WHEN 'extreme' THEN 3 WHEN 'high' THEN 2 ELSE 1 END AS step FROM numbered
    ), compared AS (
        SELECT *, first_value(step) OVER (PARTITION BY symbol, bucket_width, kind, run ORDER BY bucket_start) AS first_step FROM ranked
    ), episodes AS (
        SELECT symbol, bucket_width, kind, min(bucket_start) AS start_at, max(bucket_end) AS end_at, max(bucket_end) + 2 * bucket_width AS over_at,
               count(*) AS buckets, sum(messages)::BIGINT AS messages, sum(organic)::BIGINT AS organic, max(authors) AS authors,
               list_sum(list(expected ORDER BY bucket_start)) AS expected, max(z) AS peak_z,
               first(bucket_start ORDER BY z DESC, bucket_start) AS peak_start, first(severity ORDER BY z DESC, bucket_start) AS severity,
               first(severity ORDER BY bucket_start) AS first_severity, min(bucket_end) FILTER (step > first_step) AS rose_at,
               first(top_terms ORDER BY z DESC, bucket_start) AS top_terms, max(found_at) AS found_at
        FROM compared GROUP BY symbol, bucket_width, kind, run
    )
    SELECT * FROM episodes WHERE end_at > since_at ORDER BY start_at, symbol, bucket_width, kind;
