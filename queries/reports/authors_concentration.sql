-- question: Do many people talk about a symbol, or a few people a lot?
-- Messages whose author is unknown are left out.
-- parameter: until TIMESTAMP = (SELECT date_trunc('hour', max(created_at)) + INTERVAL 1 HOUR FROM mentions)  end, UTC, exclusive; else the end of the newest hour with a message
-- parameter: since TIMESTAMP = $until - INTERVAL 7 DAY  start, UTC; else 7 days before the end
-- parameter: symbol VARCHAR = NULL  only this symbol; else all
-- parameter: least INTEGER(1..) = 20  messages with a known author at least
-- parameter: limit INTEGER(1..) = 20  rows at most
-- example: tracker query authors_concentration least=50
WITH each AS (
    SELECT symbol, author, count(*) AS messages FROM mentions
    WHERE created_at >= $since AND created_at < $until AND author IS NOT NULL AND ($symbol::VARCHAR IS NULL OR symbol = $symbol::VARCHAR)
    GROUP BY symbol, author
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY symbol ORDER BY messages DESC, author) AS busy_rank FROM each
)
SELECT symbol, sum(messages)::BIGINT AS messages, count(*) AS authors, max(messages) AS busiest_author,
       max(messages) / sum(messages) AS busiest_share, sum(messages) FILTER (busy_rank <= 10) / sum(messages) AS ten_busiest_share
FROM ranked GROUP BY symbol HAVING sum(ranked.messages) >= $least
ORDER BY ten_busiest_share DESC, messages DESC, symbol LIMIT $limit;
