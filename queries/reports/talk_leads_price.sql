-- question: Does talk go before the price of my symbols, or after it?
-- Rank correlations (Spearman) of volume_z and sentiment_z with the returns of the sessions before and after the reading, one pair a session.
-- Talk that leads has its strongest correlation with what comes forward, talk that follows with what came before. Few sessions, overlapping
-- returns and many symbols make strong numbers by chance: it proves nothing.
-- parameter: until TIMESTAMP = (SELECT max("at") FROM readings)  last moment, UTC
-- parameter: since TIMESTAMP = $until - INTERVAL 180 DAY  start, UTC; else 180 days before the end
-- parameter: window VARCHAR(1h|24h|7d) = '24h'  span that a reading looks back over
-- parameter: group VARCHAR = NULL  only this group of the configuration
-- parameter: symbols VARCHAR = NULL  instead of the watch-list these, with commas between
-- example: tracker query talk_leads_price symbols=BABA,JD
SELECT * FROM talk_leads_price(followed($symbols, $group), $since, $until, $window)
ORDER BY symbol, talk DESC;
