-- hidden_sources: services whose messages are counted and not shown ([sources.NAME] show = false, as it is in force).
-- Example: FROM hidden_sources;
CREATE OR REPLACE VIEW hidden_sources AS
    SELECT split_part(key, '.', 2) AS source FROM settings WHERE key LIKE 'sources.%.show'
    GROUP BY key HAVING arg_max_null(value, since) = 'false' ORDER BY source;

-- shown_text(of_source, of_text): the text of a message for people to read; NULL where its source is hidden.
-- Example: SELECT shown_text(source, text) FROM messages LIMIT 10;
CREATE OR REPLACE MACRO shown_text(of_source, of_text) AS CASE WHEN of_source IN (SELECT source FROM hidden_sources) THEN NULL ELSE of_text END;
