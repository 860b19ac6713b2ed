-- source_health: each stream with its last poll, last success, failures and what it has brought in the day before the
-- newest poll of all (no wall clock in a metric). A stream that answers and shows nothing, three times since it was last heard,
-- (a blank page says nothing, not even that there is nothing: covers_from is NULL; "unchanged" is an answer), has the status silent, also while it is connected anew. Example: FROM source_health;
CREATE OR REPLACE VIEW source_health AS
    WITH latest AS (
        SELECT source, stream, arg_max(status, started_at) AS status, arg_max_null(error, started_at) AS error, max(started_at) AS last_poll_at FROM polls GROUP BY ALL
    ), heard AS (
        SELECT source, stream, max(started_at) AS heard_at FROM polls WHERE up = 1 AND (fetched > 0 OR covers_from IS NOT NULL OR status = 'unchanged') GROUP BY ALL
    ), silent AS (
        SELECT polls.source, polls.stream FROM polls LEFT JOIN heard ON heard.source = polls.source AND heard.stream = polls.stream
        WHERE polls.up = 1 AND (heard.heard_at IS NULL OR polls.started_at > heard.heard_at) GROUP BY ALL HAVING count(*) >= 3
    ), recent AS (
        SELECT source, stream, count(*) AS polls, avg(up) AS up, sum(fetched) AS fetched, sum(added) AS added, sum(skipped) AS skipped, sum(requests) AS requests
        FROM polls WHERE started_at > (SELECT max(started_at) FROM polls) - INTERVAL 1 DAY GROUP BY ALL
    ), lost AS (
        SELECT source, stream, count(*) AS gaps, max(to_at) AS last_gap_at FROM gaps GROUP BY ALL
    )
    SELECT coalesce(streams.source, latest.source) AS source, coalesce(streams.name, latest.stream) AS stream, coalesce(streams.enabled, false) AS enabled,
           CASE WHEN latest.status IN ('ok', 'unavailable') AND silent.source IS NOT NULL THEN 'silent' ELSE latest.status END AS status, latest.error, streams.failures, latest.last_poll_at, streams.last_success_at, streams.last_message_at, streams.next_poll_at,
           recent.polls AS polls_1d, recent.up AS up_1d, recent.fetched AS fetched_1d, recent.added AS added_1d, recent.skipped AS skipped_1d,
           recent.requests AS requests_1d, coalesce(lost.gaps, 0) AS gaps, lost.last_gap_at, streams.note
    FROM streams FULL JOIN latest ON latest.source = streams.source AND latest.stream = streams.name
    LEFT JOIN silent ON silent.source = coalesce(streams.source, latest.source) AND silent.stream = coalesce(streams.name, latest.stream)
    LEFT JOIN recent ON recent.source = coalesce(streams.source, latest.source) AND recent.stream = coalesce(streams.name, latest.stream)
    LEFT JOIN lost ON lost.source = coalesce(streams.source, latest.source) AND lost.stream = coalesce(streams.name, latest.stream)
    ORDER BY 1, 2;
