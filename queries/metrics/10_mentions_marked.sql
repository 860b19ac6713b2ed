-- mentions_marked: every counted mention with `copied`: somebody said it in the same words before.
-- A mention is copied when another message with the same text_key named the same symbol in the 24 hours before
-- it (ordered by created_at, then source and id), or when it passes on a message that is stored with that symbol and not younger than itself.
-- Derived, never stored: a late arrival corrects it, and the order of arrival changes nothing.
-- Example: SELECT symbol, avg(copied::INT) FROM mentions_marked GROUP BY symbol ORDER BY 2 DESC LIMIT 10;
CREATE OR REPLACE MACRO marked_of(for_symbols, since_at, until_at) AS TABLE
    WITH near AS MATERIALIZED (
        SELECT * FROM mentions WHERE created_at >= since_at - INTERVAL 24 HOUR AND created_at < until_at
          AND (for_symbols IS NULL OR symbol IN (SELECT unnest(for_symbols::VARCHAR[])))
    ), wordings AS (
        -- most texts are said once: only the others have to be put in order
        SELECT symbol, text_key FROM near WHERE text_key IS NOT NULL GROUP BY ALL HAVING count(*) > 1
    ), repeated AS (
        SELECT source, message_id, symbol FROM (
            SELECT near.source, near.message_id, near.symbol, near.created_at,
                   lag(near.created_at) OVER (PARTITION BY near.symbol, near.text_key ORDER BY near.created_at, near.source, near.message_id) AS said_at
            FROM near SEMI JOIN wordings USING (symbol, text_key))
        WHERE said_at > created_at - INTERVAL 24 HOUR
    ), originals AS (
        SELECT DISTINCT source, message_id, symbol, created_at FROM mentions
        WHERE (source, message_id) IN (SELECT (source, reshare_of) FROM near WHERE reshare_of IS NOT NULL)
    )
    SELECT near.*, repeated.message_id IS NOT NULL OR originals.message_id IS NOT NULL AS copied
    FROM near LEFT JOIN repeated ON repeated.source = near.source AND repeated.message_id = near.message_id AND repeated.symbol = near.symbol
    LEFT JOIN originals
      ON originals.source = near.source AND originals.message_id = near.reshare_of AND originals.symbol = near.symbol
     AND originals.created_at <= near.created_at
    WHERE near.created_at >= since_at;
-- marked_between(since_at, until_at): the same of all symbols.
CREATE OR REPLACE MACRO marked_between(since_at, until_at) AS TABLE FROM marked_of(NULL, since_at, until_at);
CREATE OR REPLACE VIEW mentions_marked AS SELECT * FROM marked_between(TIMESTAMP '1990-01-01', TIMESTAMP '2200-01-01');
