-- leaderboard(at_time, of_window): all symbols that were spoken of, at the newest stored moment at or before a time (at most
-- a day older), most talked about first.
-- Example: FROM leaderboard(TIMESTAMP '2026-11-22', '24h') LIMIT 20;
CREATE OR REPLACE MACRO leaderboard(at_time, of_window) AS TABLE
    WITH newest AS (
        SELECT max("at") AS moment FROM readings WHERE window_name = of_window AND "at" <= at_time AND "at" > at_time - INTERVAL 1 DAY
    )
    SELECT row_number() OVER (ORDER BY organic DESC, messages DESC, symbol) AS place, readings.* FROM readings
    WHERE window_name = of_window AND "at" = (SELECT moment FROM newest) AND messages > 0
    ORDER BY place;

-- movers(at_time, of_window): the same readings by how far they are from what was to be expected.
-- Example: FROM movers(TIMESTAMP '2026-11-22', '24h') LIMIT 10;
CREATE OR REPLACE MACRO movers(at_time, of_window) AS TABLE
    SELECT * FROM leaderboard(at_time, of_window) WHERE volume_z IS NOT NULL ORDER BY volume_z DESC, symbol;
