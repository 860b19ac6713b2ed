-- most_reshared(for_symbol, since_at, until_at): what was passed on most of the messages that name the symbol in the window, strongest first.
-- reshares = the larger of what the service counted (last seen) and the messages of the window that pass it on. Of an original that is not
-- in the window, or not stored, the first message that passes it on stands for it, with its own text, NULL where its source is hidden. Only what was passed on, nothing deleted.
-- Example: FROM most_reshared('BABA', TIMESTAMP '2026-11-20', TIMESTAMP '2026-11-21') LIMIT 3;
CREATE OR REPLACE MACRO most_reshared(for_symbol, since_at, until_at) AS TABLE
    WITH talk AS (
        SELECT source, message_id, created_at, reshare_of, coalesce(reshare_of, message_id) AS original FROM mentions
        WHERE symbol = for_symbol AND created_at >= since_at AND created_at < until_at
    ), seen AS (
        SELECT source, original, count(reshare_of) AS times FROM talk GROUP BY ALL
    ), standing AS (
        SELECT talk.source, talk.original, talk.message_id, talk.created_at FROM talk
        QUALIFY row_number() OVER (PARTITION BY talk.source, talk.original ORDER BY talk.message_id <> talk.original, talk.created_at, talk.message_id) = 1
    ), gone AS (
        SELECT source, id FROM tombstones UNION ALL SELECT source, id FROM messages WHERE deleted_at IS NOT NULL
    )
    SELECT messages.source, messages.id AS message_id, messages.created_at, greatest(coalesce(messages.reshares, 0), seen.times) AS reshares,
           messages.likes, shown_text(messages.source, messages.text) AS text, messages.url
    FROM standing JOIN seen USING (source, original)
    JOIN messages ON messages.source = standing.source AND messages.id = standing.message_id AND messages.created_at = standing.created_at
    ANTI JOIN gone ON gone.source = standing.source AND gone.id = standing.original
    WHERE greatest(coalesce(messages.reshares, 0), seen.times) > 0
    ORDER BY reshares DESC, likes DESC NULLS LAST, source, message_id;

-- headlines_between(for_symbol, since_at, until_at): news of the window that names the symbol, newest first. Of the same title, whatever its case and
-- numbers, the earliest stays.
-- Example: FROM headlines_between('BABA', TIMESTAMP '2026-11-20', TIMESTAMP '2026-11-21');
CREATE OR REPLACE MACRO headlines_between(for_symbol, since_at, until_at) AS TABLE
    WITH named AS (
        SELECT *, row_number() OVER (PARTITION BY text_key, CASE WHEN text_key IS NULL THEN (source, id) END ORDER BY created_at, source, id) AS place
        FROM headlines WHERE list_contains(symbols, for_symbol) AND created_at >= since_at AND created_at < until_at
    )
    SELECT source, created_at, publisher, title, url FROM named WHERE place = 1 ORDER BY created_at DESC, source, title;

-- ballot_results(for_symbol, since_at, until_at): the polls that messages of the window carry and that name the symbol, as last seen by until_at;
-- one row for each option. votes and share are NULL while the service hides them, share also while nobody has voted.
-- Example: FROM ballot_results('BABA', TIMESTAMP '2026-11-15', TIMESTAMP '2026-11-22');
CREATE OR REPLACE MACRO ballot_results(for_symbol, since_at, until_at) AS TABLE
    WITH seen AS (
        SELECT *, row_number() OVER (PARTITION BY source, message_id, position ORDER BY seen_at DESC) AS place FROM ballots
        WHERE symbol = for_symbol AND created_at >= since_at AND created_at < until_at AND seen_at <= until_at
    )
    SELECT seen.source, seen.message_id, seen.created_at, seen.question, seen.position, seen.option, seen.votes, seen.share, seen.voters,
           seen.closes_at, seen.seen_at, messages.url
    FROM seen LEFT JOIN messages ON messages.source = seen.source AND messages.id = seen.message_id AND messages.created_at = seen.created_at
    WHERE seen.place = 1 ORDER BY seen.created_at DESC, seen.source, seen.message_id, seen.position;
