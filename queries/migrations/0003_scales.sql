-- The scale of hourly residuals looks at 672 hours a symbol: it is made for whom it is needed, in a table of its own.
-- Derived, all of it: the baselines are made again when they are next asked for.
DELETE FROM market_days;
DELETE FROM symbol_days;
ALTER TABLE symbol_days DROP COLUMN scale_hour;
ALTER TABLE symbol_days ADD COLUMN slots BIGINT;
ALTER TABLE symbol_days ADD COLUMN quietest DOUBLE;
ALTER TABLE symbol_days ADD COLUMN busiest DOUBLE;
COMMENT ON COLUMN symbol_days.slots IS 'hours in the 28 days before that were listened to';
COMMENT ON COLUMN symbol_days.quietest IS 'smallest f(h) times listened share among them';
COMMENT ON COLUMN symbol_days.busiest IS 'largest f(h) times listened share among them';

CREATE TABLE hour_scales (symbol VARCHAR NOT NULL, day DATE NOT NULL, scale DOUBLE NOT NULL);
COMMENT ON TABLE hour_scales IS 'max(1, 1.4826 MAD) of the hourly residuals over the 28 days before a UTC day; 1 where there is no row';
COMMENT ON COLUMN hour_scales.symbol IS 'canonical upper-case symbol; * as in symbol_days';
COMMENT ON COLUMN hour_scales.day IS 'UTC day on which the window starts';
COMMENT ON COLUMN hour_scales.scale IS 'above 1';
CREATE TABLE hour_scale_days (day DATE NOT NULL);
COMMENT ON TABLE hour_scale_days IS 'the days for which hour_scales is complete';
COMMENT ON COLUMN hour_scale_days.day IS 'UTC day';
