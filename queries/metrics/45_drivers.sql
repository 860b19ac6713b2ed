-- drivers_of(for_windows): the words that set windows apart, of many windows at once: a list of {symbol, starts_at, ends_at}. What drivers and
-- spike_terms stand on, and where the definition is written out: see drivers. Each message is read once, however many windows want it.
-- Example: FROM drivers_of([{'symbol': 'BABA', 'starts_at': TIMESTAMP '2026-11-20', 'ends_at': TIMESTAMP '2026-11-21'}]);
CREATE OR REPLACE MACRO drivers_of(for_windows) AS TABLE
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT window_.symbol, window_.starts_at, window_.ends_at FROM (SELECT unnest(for_windows) AS window_)
    ), bounds AS MATERIALIZED (
        -- without any window nothing is looked at: no message is that young
        SELECT coalesce(min(date_trunc('day', starts_at)) - INTERVAL 14 DAY, TIMESTAMP '2200-01-01') AS first_at, coalesce(max(ends_at), TIMESTAMP '2200-01-01') AS last_at FROM wanted
    ), organic AS MATERIALIZED (
        SELECT symbol, source, message_id, created_at
        FROM marked_of((SELECT list(DISTINCT symbol) FROM wanted), (SELECT first_at FROM bounds), (SELECT last_at FROM bounds)) WHERE NOT copied
    ), days AS MATERIALIZED (
        SELECT *, date_trunc('day', starts_at) - to_days(unnest(range(1, 15))::INTEGER) AS day FROM wanted
    ), inside AS MATERIALIZED (
        SELECT hours.symbol, hours.starts_at, hours.ends_at, organic.source, organic.message_id, organic.created_at
        FROM (SELECT *, unnest(generate_series(date_trunc('hour', starts_at), ends_at - INTERVAL 1 MICROSECOND, INTERVAL 1 HOUR)) AS hour_start FROM wanted) AS hours
        JOIN organic ON organic.symbol = hours.symbol AND date_trunc('hour', organic.created_at) = hours.hour_start
        WHERE organic.created_at >= hours.starts_at AND organic.created_at < hours.ends_at
    ), before AS MATERIALIZED (
        SELECT organic.symbol, own.day, organic.source, organic.message_id, organic.created_at
        FROM (SELECT DISTINCT symbol, day FROM days) AS own
        JOIN organic ON organic.symbol = own.symbol AND date_trunc('day', organic.created_at) = own.day
    ), wordings AS MATERIALIZED (
        -- what was said about anybody on those days, each wording once a day, as it was said first
        SELECT date_trunc('day', created_at) AS day, text_key, arg_min({source: source, message_id: message_id, created_at: created_at}, {created_at: created_at, source: source, message_id: message_id}) AS first
        FROM mentions JOIN (
            SELECT date_trunc('day', created_at) AS size_day, 1333 * 18446744073709551616.0 / count(*) AS least_key  -- 2^64: all keys lie below
            FROM mentions WHERE text_key IS NOT NULL AND created_at >= (SELECT first_at FROM bounds) AND created_at < (SELECT date_trunc('day', max(starts_at)) FROM wanted)
            GROUP BY size_day) AS sizes ON sizes.size_day = date_trunc('day', mentions.created_at)
        WHERE text_key IS NOT NULL AND text_key::DOUBLE < least_key AND created_at >= (SELECT first_at FROM bounds) AND created_at < (SELECT date_trunc('day', max(starts_at)) FROM wanted)
          AND day IN (SELECT day FROM days)
        GROUP BY ALL
    ), sampled AS MATERIALIZED (
        SELECT day, first.source AS source, first.message_id AS message_id, first.created_at AS created_at FROM wordings
    ), spoken AS MATERIALIZED (
        SELECT source, id AS message_id, created_at, author, list_distinct(words_of(text)) AS words FROM messages
        WHERE text IS NOT NULL AND created_at >= (SELECT first_at FROM bounds) AND created_at < (SELECT last_at FROM bounds)
          AND (source, id) IN (SELECT (source, message_id) FROM inside UNION SELECT (source, message_id) FROM before UNION SELECT (source, message_id) FROM sampled)
    ), said AS (
        SELECT inside.symbol, inside.starts_at, inside.ends_at, spoken.author, spoken.words FROM inside JOIN spoken USING (source, message_id, created_at)
    ), said_sums AS (
        SELECT symbol, starts_at, ends_at, count(*) AS messages, sum(len(words)) AS words FROM said GROUP BY ALL
    ), known AS MATERIALIZED (
        SELECT symbol, concat_ws(' ', name, array_to_string(aliases, ' ')) AS called FROM symbols SEMI JOIN wanted USING (symbol)
    ), names AS (
        SELECT symbol, regexp_extract(lower(symbol), '^[a-z0-9]+') AS term FROM wanted
        UNION SELECT symbol, unnest(regexp_split_to_array(lower(called), '[^a-z0-9]+')) FROM known
    ), candidates AS MATERIALIZED (
        SELECT symbol, starts_at, ends_at, term, count(*) AS uses
        FROM (SELECT symbol, starts_at, ends_at, author, unnest(words) AS term FROM said) ANTI JOIN names USING (symbol, term)
        WHERE NOT is_function_word(term) GROUP BY ALL HAVING count(*) >= 3 AND count(DISTINCT author) >= 2
    ), terms AS (
        SELECT DISTINCT term FROM candidates
    ), earlier AS (
        SELECT before.symbol, before.day, spoken.words FROM before JOIN spoken USING (source, message_id, created_at)
    ), earlier_sums AS (
        SELECT days.symbol, days.starts_at, days.ends_at, sum(daily.messages) AS messages, sum(daily.words) AS words
        FROM days JOIN (SELECT symbol, day, count(*) AS messages, sum(len(words)) AS words FROM earlier GROUP BY ALL) AS daily USING (symbol, day)
        GROUP BY ALL
    ), earlier_uses AS (
        SELECT days.symbol, days.starts_at, days.ends_at, daily.term, sum(daily.uses) AS uses
        FROM days JOIN (SELECT symbol, day, term, count(*) AS uses FROM (SELECT symbol, day, unnest(words) AS term FROM earlier) SEMI JOIN terms USING (term) GROUP BY ALL) AS daily
          USING (symbol, day) GROUP BY ALL
    ), heard AS MATERIALIZED (
        SELECT sampled.day, spoken.words FROM sampled JOIN spoken USING (source, message_id, created_at)
    ), around_sums AS (
        SELECT days.symbol, days.starts_at, days.ends_at, sum(daily.words) AS words
        FROM days JOIN (SELECT day, sum(len(words)) AS words FROM heard GROUP BY ALL) AS daily USING (day) GROUP BY ALL
    ), around_uses AS (
        SELECT days.symbol, days.starts_at, days.ends_at, daily.term, sum(daily.uses) AS uses
        FROM days JOIN (SELECT day, term, count(*) AS uses FROM (SELECT day, unnest(words) AS term FROM heard) SEMI JOIN terms USING (term) GROUP BY ALL) AS daily USING (day)
        SEMI JOIN candidates ON candidates.symbol = days.symbol AND candidates.starts_at = days.starts_at AND candidates.ends_at = days.ends_at AND candidates.term = daily.term
        GROUP BY ALL
    ), counted AS (
        SELECT candidates.*, said_sums.words, said_sums.messages, coalesce(earlier_uses.uses, 0)::BIGINT AS uses_before, coalesce(earlier_sums.words, 0) AS words_before,
               earlier_sums.messages AS messages_before, coalesce(around_uses.uses / around_sums.words, 0) AS prior_share
        FROM candidates JOIN said_sums USING (symbol, starts_at, ends_at) LEFT JOIN earlier_sums USING (symbol, starts_at, ends_at)
        LEFT JOIN earlier_uses USING (symbol, starts_at, ends_at, term) JOIN around_sums USING (symbol, starts_at, ends_at)
        LEFT JOIN around_uses USING (symbol, starts_at, ends_at, term)
        WHERE around_sums.words >= 1000  -- a prior does not weigh more than what it was made from
    ), scored AS (
        SELECT *, driver_log_odds(uses, words, uses_before, words_before, prior_share, 1000) AS log_odds, driver_sd(uses, uses_before, prior_share, 1000) AS sd FROM counted
    )
    SELECT symbol, starts_at, ends_at, term, log_odds / sd AS z, log_odds, uses AS messages, uses / messages AS share,
           uses_before AS messages_before, uses_before / messages_before AS share_before
    FROM scored WHERE log_odds / sd >= 1.645;

-- drivers(for_symbol, since_at, until_at): the words that set [since_at, until_at) apart from what was said about the symbol before it, strongest
-- first. *Before* are the 14 whole UTC days before the day on which the window starts. Only organic messages with a text count, and a
-- message counts once for each word of words_of(text).
-- y of n uses of words in the window are this one's, y' of n' before; log_odds and z = log_odds / sd are driver_log_odds and driver_sd
-- (Monroe, Colaresi & Quinn 2008), the prior being 1,000 uses of words as they are spread in what was said about any symbol in those days, each wording once a day.
-- At most some 19,000 messages are read for the prior: of each of the 14 days some 1,333, those with the lowest text_key, which is a
-- hash. A word has to stand in at least 3 messages by at least 2 authors, so that one who pastes drives nothing, and z >= 1.645: less than one word in twenty would pass by chance.
-- Left out are the symbol's own name and function words (is_function_word). Where fewer than 1,000 uses of words stand behind the prior, in the first days of
-- a tracker, nothing can be told apart and there is no row.
-- Units: messages, shares 0..1 of the organic messages with a text; share_before is NULL where nothing was said before.
-- Example: FROM drivers('BABA', TIMESTAMP '2026-11-20', TIMESTAMP '2026-11-21') LIMIT 10;
CREATE OR REPLACE MACRO drivers(for_symbol, since_at, until_at) AS TABLE
    SELECT term, z, log_odds, messages, share, messages_before, share_before
    FROM drivers_of([{'symbol': for_symbol::VARCHAR, 'starts_at': since_at::TIMESTAMP, 'ends_at': until_at::TIMESTAMP}])
    ORDER BY z DESC, term;

-- terms_of(for_windows): the five strongest drivers of each window, for those that have any; windows as in drivers_of.
-- Example: FROM terms_of([{'symbol': 'BABA', 'starts_at': TIMESTAMP '2026-11-20', 'ends_at': TIMESTAMP '2026-11-21'}]);
CREATE OR REPLACE MACRO terms_of(for_windows) AS TABLE
    SELECT symbol, starts_at, ends_at, list(term ORDER BY z DESC, term)[1:5] AS terms FROM drivers_of(for_windows) GROUP BY ALL;

-- spike_terms(since_at, until_at): for each spike whose bucket starts in the span the five strongest drivers of its bucket; NULL where no word
-- passes. What stands in spikes.top_terms.
-- Example: FROM spike_terms(TIMESTAMP '2026-11-20', TIMESTAMP '2026-11-22') WHERE terms IS NOT NULL;
CREATE OR REPLACE MACRO spike_terms(since_at, until_at) AS TABLE
    WITH found AS MATERIALIZED (
        SELECT symbol, bucket_width, bucket_start, bucket_start + bucket_width AS bucket_end FROM spikes
        WHERE bucket_start >= since_at AND bucket_start < until_at
    )
    SELECT found.symbol, found.bucket_width, found.bucket_start, told.terms
    FROM found LEFT JOIN terms_of((SELECT list({'symbol': symbol, 'starts_at': bucket_start, 'ends_at': bucket_end}) FROM found)) AS told
      ON told.symbol = found.symbol AND told.starts_at = found.bucket_start AND told.ends_at = found.bucket_end;
