-- question: How many puts are traded and open for each call?
-- The newest sums of each symbol at or before the moment, at most three days older; NULL where no call was counted.
-- parameter: at TIMESTAMP = (SELECT max("at") FROM options)  moment, UTC; else the newest
-- parameter: limit INTEGER(1..) = 50  rows at most
-- example: tracker query puts_and_calls limit=10
SELECT symbol, "at", put_volume / nullif(call_volume, 0) AS put_call_volume, put_oi / nullif(call_oi, 0) AS put_call_oi,
       put_volume, call_volume, put_oi, call_oi, source
FROM options WHERE "at" <= $at AND "at" > $at::TIMESTAMP - INTERVAL 3 DAY
QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY "at" DESC, source) = 1
ORDER BY put_volume + call_volume DESC NULLS LAST, symbol LIMIT $limit;
