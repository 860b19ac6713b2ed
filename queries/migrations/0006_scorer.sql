-- Readings say which scorer made the tones behind them; those taken before this did not.
ALTER TABLE readings ADD COLUMN scorer VARCHAR;
COMMENT ON COLUMN readings.scorer IS 'name and version of the scorer in force when the reading was taken; NULL for readings from before this was kept';
