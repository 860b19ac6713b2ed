-- rollup, second step: facts -> buckets, for the symbol-days in the temporary table `fresh_days` (symbol, day), some of those in
-- `touched` at a time. Three widths, each source and all sources together ('*'). `heard_up` comes from the first step.
CREATE OR REPLACE TEMP TABLE fresh_mentions AS
    SELECT marked.symbol, marked.source, marked.created_at, marked.author, marked.text_key, marked.copied, marked.stance, marked.label, marked.reshare,
           -- decimals: the same sum to the last digit in whatever order rows lie
           marked.tone::DECIMAL(18, 15) AS tone, (marked.tone * marked.tone)::DECIMAL(18, 15) AS tone_sq
    FROM marked_between((SELECT min(day)::TIMESTAMP FROM fresh_days), (SELECT max(day)::TIMESTAMP + INTERVAL 1 DAY FROM fresh_days)) AS marked
    SEMI JOIN fresh_days ON fresh_days.symbol = marked.symbol AND fresh_days.day = marked.created_at::DATE;

CREATE OR REPLACE TEMP TABLE by_source AS
    SELECT symbol, source, width.us, epoch_us(created_at) // width.us AS slot,
           count(*) AS messages, count(*) FILTER (NOT copied) AS organic, count(DISTINCT author) AS authors, count(DISTINCT text_key) AS texts,
           count(*) FILTER (NOT copied AND stance = 1) AS bullish, count(*) FILTER (NOT copied AND stance = -1) AS bearish,
           count(*) FILTER (label = 1) AS labelled_bullish, count(*) FILTER (label = -1) AS labelled_bearish,
           coalesce(sum(tone) FILTER (NOT copied), 0) AS tone_sum, coalesce(sum(tone_sq) FILTER (NOT copied), 0) AS tone_sq_sum,
           count(*) FILTER (reshare) AS reshares
    FROM fresh_mentions CROSS JOIN (VALUES (300000000), (3600000000), (86400000000)) AS width (us) GROUP BY ALL;

-- What adds up over the sources is added up; only where several spoke are people and texts counted again.
CREATE OR REPLACE TEMP TABLE by_all AS
    SELECT symbol, us, slot, count(*) AS sources, sum(messages) AS messages, sum(organic) AS organic, any_value(authors) AS authors, any_value(texts) AS texts,
           sum(bullish) AS bullish, sum(bearish) AS bearish, sum(labelled_bullish) AS labelled_bullish, sum(labelled_bearish) AS labelled_bearish,
           sum(tone_sum) AS tone_sum, sum(tone_sq_sum) AS tone_sq_sum, sum(reshares) AS reshares
    FROM by_source GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE several AS
    SELECT mixed.symbol, mixed.us, mixed.slot, count(DISTINCT said.author) AS authors, count(DISTINCT said.text_key) AS texts
    FROM (SELECT symbol, us, slot FROM by_all WHERE sources > 1) AS mixed
    JOIN fresh_mentions AS said ON said.symbol = mixed.symbol AND epoch_us(said.created_at) // mixed.us = mixed.slot GROUP BY ALL;

INSERT INTO buckets
    SELECT fresh.symbol, fresh.source, CASE fresh.us WHEN 300000000 THEN INTERVAL 5 MINUTE WHEN 3600000000 THEN INTERVAL 1 HOUR ELSE INTERVAL 1 DAY END, make_timestamp(fresh.slot * fresh.us), fresh.messages, fresh.organic, fresh.authors, fresh.texts,
           fresh.bullish, fresh.bearish, fresh.organic - fresh.bullish - fresh.bearish, fresh.labelled_bullish, fresh.labelled_bearish,
           fresh.tone_sum::DOUBLE, fresh.tone_sq_sum::DOUBLE, fresh.reshares, coalesce(own.up, open.up, 0)
    FROM (
        SELECT symbol, source, us, slot, messages, organic, authors, texts, bullish, bearish, labelled_bullish, labelled_bearish, tone_sum, tone_sq_sum, reshares FROM by_source
        UNION ALL
        SELECT by_all.symbol, '*', by_all.us, by_all.slot, by_all.messages, by_all.organic, coalesce(several.authors, by_all.authors), coalesce(several.texts, by_all.texts),
               by_all.bullish, by_all.bearish, by_all.labelled_bullish, by_all.labelled_bearish, by_all.tone_sum, by_all.tone_sq_sum, by_all.reshares
        FROM by_all LEFT JOIN several ON several.symbol = by_all.symbol AND several.us = by_all.us AND several.slot = by_all.slot) AS fresh
    LEFT JOIN heard_up AS own ON own.symbol = fresh.symbol AND own.source = fresh.source AND own.is_day = (fresh.us = 86400000000)
          AND own.slot_start = date_trunc('hour', make_timestamp(fresh.slot * fresh.us))
    LEFT JOIN heard_up AS open ON open.symbol IS NULL AND open.source = fresh.source AND open.is_day = (fresh.us = 86400000000)
          AND open.slot_start = date_trunc('hour', make_timestamp(fresh.slot * fresh.us))
    ORDER BY fresh.us, fresh.slot;
