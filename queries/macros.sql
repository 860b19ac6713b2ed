-- Scalar formulas. Each is written once; views, table macros, the daemon and people call them by these names.
-- Parameters never carry a column's name: a macro parameter silently wins over a column.

-- Phi(z), the standard normal distribution. Hart's rational approximation in double precision, continued
-- fraction in the tail (West 2005, "Better approximations to cumulative normal functions"); error below 1e-14.
CREATE OR REPLACE MACRO normal_cdf(of_z) AS (
    CASE WHEN of_z IS NULL THEN NULL
         WHEN abs(of_z) > 37 THEN CASE WHEN of_z > 0 THEN 1.0 ELSE 0.0 END
         ELSE CASE WHEN of_z > 0 THEN 1.0 - normal_upper_tail(abs(of_z)) ELSE normal_upper_tail(abs(of_z)) END END);
CREATE OR REPLACE MACRO normal_upper_tail(of_abs) AS (
    CASE WHEN of_abs < 7.07106781186547 THEN
        exp(-of_abs * of_abs / 2) *
        ((((((3.52624965998911e-02 * of_abs + 0.700383064443688) * of_abs + 6.37396220353165) * of_abs
            + 33.912866078383) * of_abs + 112.079291497871) * of_abs + 221.213596169931) * of_abs + 220.206867912376) /
        (((((((8.83883476483184e-02 * of_abs + 1.75566716318264) * of_abs + 16.064177579207) * of_abs
            + 86.7807322029461) * of_abs + 296.564248779674) * of_abs + 637.333633378831) * of_abs
            + 793.826512519948) * of_abs + 440.413735824752)
    ELSE exp(-of_abs * of_abs / 2) /
        (of_abs + 1 / (of_abs + 2 / (of_abs + 3 / (of_abs + 4 / (of_abs + 0.65))))) / 2.506628274631 END);

-- B / (B + S); NULL without opinions
CREATE OR REPLACE MACRO ratio_of(bulls, bears) AS (CASE WHEN bulls + bears > 0 THEN bulls::DOUBLE / (bulls + bears) END);

-- Wilson's 95 % interval of the ratio (Wilson 1927), z = 1.959963984540054
-- rounding never puts the ratio outside of it
CREATE OR REPLACE MACRO wilson_low(bulls, bears) AS (CASE WHEN bulls + bears > 0 THEN least(ratio_of(bulls, bears), greatest(0.0,
    (ratio_of(bulls, bears) + 3.841458820694124 / (2 * (bulls + bears))
     - 1.959963984540054 * sqrt(ratio_of(bulls, bears) * (1 - ratio_of(bulls, bears)) / (bulls + bears)
                                + 3.841458820694124 / (4 * (bulls + bears)::DOUBLE * (bulls + bears))))
    / (1 + 3.841458820694124 / (bulls + bears)))) END);
CREATE OR REPLACE MACRO wilson_high(bulls, bears) AS (CASE WHEN bulls + bears > 0 THEN greatest(ratio_of(bulls, bears), least(1.0,
    (ratio_of(bulls, bears) + 3.841458820694124 / (2 * (bulls + bears))
     + 1.959963984540054 * sqrt(ratio_of(bulls, bears) * (1 - ratio_of(bulls, bears)) / (bulls + bears)
                                + 3.841458820694124 / (4 * (bulls + bears)::DOUBLE * (bulls + bears))))
    / (1 + 3.841458820694124 / (bulls + bears)))) END);

-- Antweiler & Frank 2004. The two are mathematically tied: they are no independent evidence.
CREATE OR REPLACE MACRO bullishness_of(bulls, bears) AS (
    CASE WHEN bulls + bears > 0 THEN ln((1 + bulls)::DOUBLE / (1 + bears)) END);
CREATE OR REPLACE MACRO agreement_of(bulls, bears) AS (
    CASE WHEN bulls + bears > 0 THEN 1 - sqrt(greatest(0.0, 1 - ((bulls - bears)::DOUBLE / (bulls + bears)) ** 2)) END);

-- log-odds shrunk towards the market's habit: few messages mean a neutral reading, never an extreme one
CREATE OR REPLACE MACRO shrunken_log_odds(bulls, bears, habit_p0, weight_k) AS (
    ln((bulls + weight_k * habit_p0) / (bears + weight_k * (1 - habit_p0))));
CREATE OR REPLACE MACRO logit(of_p) AS (ln(of_p / (1 - of_p)));

-- the square root makes counts even (Anscombe 1948)
CREATE OR REPLACE MACRO anscombe(of_count) AS (2 * sqrt(of_count + 0.375));

-- five labels from a score 0..100 and four bands; both ends of the middle band are neutral
CREATE OR REPLACE MACRO sentiment_label_of(of_score, b1, b2, b3, b4) AS (
    CASE WHEN of_score IS NULL THEN NULL WHEN of_score < b1 THEN 'extremely bearish' WHEN of_score < b2 THEN 'bearish'
         WHEN of_score <= b3 THEN 'neutral' WHEN of_score <= b4 THEN 'bullish' ELSE 'extremely bullish' END);
CREATE OR REPLACE MACRO volume_label_of(of_score, b1, b2, b3, b4) AS (
    CASE WHEN of_score IS NULL THEN NULL WHEN of_score < b1 THEN 'extremely low' WHEN of_score < b2 THEN 'low'
         WHEN of_score <= b3 THEN 'normal' WHEN of_score <= b4 THEN 'high' ELSE 'extremely high' END);

-- 1..168, Monday 00:00-00:59 in the market's zone first; a UTC time goes in
CREATE OR REPLACE MACRO hour_of_week(utc_time, market_zone) AS (
    (isodow(timezone(market_zone, timezone('UTC', utc_time))) - 1) * 24
    + hour(timezone(market_zone, timezone('UTC', utc_time))) + 1);
