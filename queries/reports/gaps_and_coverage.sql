-- question: On which days was a stream not listened to, or known to have lost messages?
-- up is the share of the UTC day that polls covered; days without any poll have no row.
-- parameter: until TIMESTAMP = (SELECT max(started_at) FROM polls)  end, UTC; else the newest poll
-- parameter: since TIMESTAMP = $until - INTERVAL 7 DAY  start, UTC; else 7 days before the end
-- parameter: below DOUBLE(0..1) = 1  only days with a share below this, or with a known gap
-- example: tracker query gaps_and_coverage below=0.9
WITH reasons AS (
    SELECT source, stream, day, list(DISTINCT reason ORDER BY reason) AS reasons
    FROM (SELECT *, unnest(generate_series(from_at::DATE, to_at::DATE, INTERVAL 1 DAY))::DATE AS day FROM gaps) GROUP BY ALL
)
SELECT coverage.day, coverage.source, coverage.stream, coverage.up, coverage.gap_seconds, reasons.reasons
FROM coverage LEFT JOIN reasons USING (source, stream, day)
WHERE coverage.day >= $since::DATE AND coverage.day <= $until::DATE AND (coverage.up < $below OR coverage.gap_seconds > 0)
ORDER BY coverage.day DESC, coverage.source, coverage.stream;
