-- question: Which streams work, which fail, and since when?
-- example: tracker query sources_status
SELECT source, stream, enabled, status, failures, last_poll_at, last_success_at, last_message_at, next_poll_at,
       polls_1d, up_1d, fetched_1d, added_1d, skipped_1d, gaps, last_gap_at, error, note
FROM source_health ORDER BY source, stream;
