-- question: At which hours of the week does the market talk?
-- The profile behind every expectation: 1 is an average hour. With fewer than 2 whole weeks of data it is flat.
-- parameter: day DATE = (SELECT max(day) FROM market_days)  UTC day whose profile is meant; else the newest
-- example: tracker query busy_hours
WITH profile AS (
    SELECT day, profile_weeks, profile, unnest(range(1, 169)) AS h FROM market_days WHERE day = $day
)
SELECT ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'][(h - 1) // 24 + 1] AS weekday,
       (h - 1) % 24 AS hour, profile[h] AS factor, profile_weeks, (SELECT zone FROM meter_settings) AS zone, day
FROM profile ORDER BY h;
