-- sentiment_history(for_symbol, since_at, until_at, of_window): the stored readings of one symbol, oldest first.
-- Example: FROM sentiment_history('BABA', TIMESTAMP '2026-11-01', TIMESTAMP '2026-11-22', '24h');
CREATE OR REPLACE MACRO sentiment_history(for_symbol, since_at, until_at, of_window) AS TABLE
    SELECT * FROM readings WHERE symbol = for_symbol AND window_name = of_window AND "at" >= since_at AND "at" <= until_at ORDER BY "at";

-- label_changes(for_symbol, since_at, until_at, of_window): when a label was entered and left, how long it held, and
-- when it had been left the last time before (NULL: the first time in our data). Readings without a label are passed over.
-- Example: FROM label_changes('BABA', TIMESTAMP '2026-01-01', TIMESTAMP '2026-11-22', '24h') ORDER BY entered_at DESC;
CREATE OR REPLACE MACRO label_changes(for_symbol, since_at, until_at, of_window) AS TABLE
    WITH labelled AS (
        SELECT "at" AS moment, sentiment_label AS label, lag(sentiment_label) OVER (ORDER BY "at") AS before
        FROM readings WHERE symbol = for_symbol AND window_name = of_window AND "at" <= until_at AND sentiment_label IS NOT NULL
    ), entered AS (
        SELECT moment, label, before FROM labelled WHERE before IS DISTINCT FROM label
    ), spans AS (
        SELECT label, before AS previous_label, moment AS entered_at, lead(moment) OVER (ORDER BY moment) AS left_at FROM entered
    ), told AS (
        SELECT *, lag(left_at) OVER (PARTITION BY label ORDER BY entered_at) AS last_held_until FROM spans
    )
    SELECT label, previous_label, entered_at, left_at, coalesce(left_at, until_at) - entered_at AS held, last_held_until
    FROM told WHERE coalesce(left_at, until_at) >= since_at ORDER BY entered_at;

-- labels_between(for_symbol, since_at, until_at): the set of labels visited by the 24 h reading, most frequent first.
-- Example: FROM labels_between('BABA', TIMESTAMP '2026-11-01', TIMESTAMP '2026-11-22');
CREATE OR REPLACE MACRO labels_between(for_symbol, since_at, until_at) AS TABLE
    SELECT sentiment_label AS label, count(*) AS readings, min("at") AS first_at, max("at") AS last_at
    FROM readings WHERE symbol = for_symbol AND window_name = '24h' AND "at" >= since_at AND "at" <= until_at AND sentiment_label IS NOT NULL
    GROUP BY sentiment_label ORDER BY readings DESC, label;
