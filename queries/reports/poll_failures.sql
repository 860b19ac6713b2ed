-- question: Why did polls fail?
-- parameter: until TIMESTAMP = (SELECT max(started_at) FROM polls)  end, UTC; else the newest poll
-- parameter: since TIMESTAMP = $until - INTERVAL 7 DAY  start, UTC; else 7 days before the end
-- parameter: limit INTEGER(1..) = 50  rows at most
-- example: tracker query poll_failures
SELECT source, stream, status, http_status, count(*) AS polls, min(started_at) AS first_at, max(started_at) AS last_at,
       arg_max(error, started_at) AS last_error, max(retry_after_s) AS longest_wait_s
FROM polls WHERE up = 0 AND started_at >= $since AND started_at <= $until
GROUP BY source, stream, status, http_status ORDER BY polls DESC, last_at DESC, source, stream LIMIT $limit;
