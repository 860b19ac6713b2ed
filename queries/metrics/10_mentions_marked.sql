-- mentions_marked: every counted mention with `copied`: somebody said it in the same words before.
-- A mention is copied when another message with the same text_key named the same symbol in the 24 hours before
-- it (ordered by created_at, then source and id), or when it passes on a message that is stored with that symbol and not younger than itself.
-- Derived, never stored: a late arrival corrects it, and the order of arrival changes nothing.
-- Example: SELECT symbol, avg(copied::INT) FROM mentions_marked GROUP BY symbol ORDER BY 2 DESC LIMIT 10;
CREATE OR REPLACE MACRO marked_between(since_at, until_at) AS TABLE
    WITH near AS (
        SELECT * FROM mentions WHERE created_at >= since_at - INTERVAL 24 HOUR AND created_at < until_at
    ), ordered AS (
        SELECT *, lag(created_at) OVER (PARTITION BY symbol, text_key ORDER BY created_at, source, message_id) AS said_at FROM near
    ), originals AS (
        SELECT DISTINCT source, message_id, symbol, created_at FROM mentions
        WHERE (source, message_id) IN (SELECT (source, reshare_of) FROM near WHERE reshare_of IS NOT NULL)
    )
    SELECT ordered.* EXCLUDE (said_at),
           (ordered.text_key IS NOT NULL AND coalesce(ordered.said_at > ordered.created_at - INTERVAL 24 HOUR, false))
           OR originals.message_id IS NOT NULL AS copied
    FROM ordered LEFT JOIN originals
      ON originals.source = ordered.source AND originals.message_id = ordered.reshare_of AND originals.symbol = ordered.symbol
     AND originals.created_at <= ordered.created_at
    WHERE ordered.created_at >= since_at;
CREATE OR REPLACE VIEW mentions_marked AS SELECT * FROM marked_between(TIMESTAMP '1990-01-01', TIMESTAMP '2200-01-01');
