-- question: Do other services find the same symbols talked about as we do?
-- The newest list of each service beside our reading of 24 hours at its moment; our rank is by organic messages.
-- parameter: at TIMESTAMP = (SELECT max("at") FROM crosscheck)  moment, UTC: the newest list at or before it, at most a day older
-- parameter: service VARCHAR = NULL  only this service
-- parameter: limit INTEGER(1..) = 50  rows of each list at most
-- example: tracker query crosscheck service=apewisdom limit=20
WITH lists AS (
    SELECT * FROM crosscheck WHERE "at" <= $at AND "at" > $at::TIMESTAMP - INTERVAL 1 DAY AND ($service::VARCHAR IS NULL OR service = $service)
    QUALIFY "at" = max("at") OVER (PARTITION BY service, stream, window_name)
), ours AS (
    SELECT symbol, "at", organic, buzz, buzz_rank, sentiment_score, sentiment_label FROM readings WHERE window_name = '24h' AND "at" <= $at AND "at" > $at::TIMESTAMP - INTERVAL 2 DAY
)
SELECT lists.service, lists.stream, lists.window_name, lists."at", lists.rank, lists.symbol, lists.mentions, lists.mentions_before, lists.rank_before,
       coalesce(lists.sentiment_score, 50 + 50 * lists.sentiment) AS their_score, lists.sentiment_label AS their_label, ours.buzz_rank AS our_rank, ours.organic AS our_organic,
       ours.buzz AS our_buzz, ours.sentiment_score AS our_score, ours.sentiment_label AS our_label
FROM lists ASOF LEFT JOIN ours ON lists.symbol = ours.symbol AND lists."at" >= ours."at"
QUALIFY row_number() OVER (PARTITION BY lists.service, lists.stream, lists.window_name ORDER BY lists.rank NULLS LAST, lists.symbol) <= $limit
ORDER BY lists.service, lists.stream, lists.window_name, lists.rank NULLS LAST, lists.symbol;
