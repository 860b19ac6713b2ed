-- question: Where do the prices of my symbols stand?
-- Changes are ratios: 0.1 is a rise of 10 %. price_at says how old a price is.
-- parameter: at TIMESTAMP = (SELECT max(moment) FROM (SELECT max("at") AS moment FROM readings UNION ALL SELECT max(bucket_start + bucket_width) FROM prices))  moment, UTC; else the newest that anything is known of
-- parameter: group VARCHAR = NULL  only this group of the configuration
-- parameter: symbols VARCHAR = NULL  instead of the watch-list these, with commas between
-- example: tracker query prices_now symbols=BABA,JD at=2026-11-20T14:00
SELECT symbol, price, session, price_at, change, session_change, session_date, week_change, month_change, year_change, high, high_date, below_high
FROM price_contexts(followed($symbols, $group), $at)
ORDER BY symbol;
