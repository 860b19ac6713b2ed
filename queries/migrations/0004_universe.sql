-- The universe: what the lists say of a symbol, when they were read, and what the stream itself says of its letters.
ALTER TABLE symbols ADD COLUMN lists VARCHAR[];
ALTER TABLE symbols ADD COLUMN issuer VARCHAR;
ALTER TABLE symbols ADD COLUMN market_cap DOUBLE;
ALTER TABLE symbols ADD COLUMN renamed_to VARCHAR;
UPDATE symbols SET lists = ['own'], aliases = [];
COMMENT ON TABLE symbols IS 'the universe: securities by symbol; letters that were given anew have a row for each that had them';
COMMENT ON COLUMN symbols.kind IS 'stock, etf, fund, preferred, warrant, unit, right, coin, index, future, currency, unknown';
COMMENT ON COLUMN symbols.aliases IS 'further names, such as former ones';
COMMENT ON COLUMN symbols.status IS 'listed: a list has it; retired: none has it any more; unverified: people write it, no list has it';
COMMENT ON COLUMN symbols.lists IS 'names of the lists that hold it (symbol_lists.name), own for the table of the program and the configuration';
COMMENT ON COLUMN symbols.issuer IS 'number of the issuer in the register of the SEC; it stays when the symbol changes';
COMMENT ON COLUMN symbols.market_cap IS 'US dollars, when a list last said so';
COMMENT ON COLUMN symbols.renamed_to IS 'symbol that the same security has now';

CREATE TABLE symbol_lists (
    name VARCHAR PRIMARY KEY, fetched_at TIMESTAMP, checked_at TIMESTAMP NOT NULL, next_at TIMESTAMP, "rows" BIGINT,
    made_at TIMESTAMP, etag VARCHAR, last_modified VARCHAR, address VARCHAR, error VARCHAR);
COMMENT ON TABLE symbol_lists IS 'published lists of securities: when each was read, and what was wrong with it';
COMMENT ON COLUMN symbol_lists.name IS 'name of the list as in config.toml';
COMMENT ON COLUMN symbol_lists.fetched_at IS 'when the last good one was read, UTC; NULL when there was none yet';
COMMENT ON COLUMN symbol_lists.checked_at IS 'when it was last asked for, UTC, good or bad, changed or not';
COMMENT ON COLUMN symbol_lists.next_at IS 'not asked for before, UTC; NULL for at once';
COMMENT ON COLUMN symbol_lists."rows" IS 'symbols in the last good one';
COMMENT ON COLUMN symbol_lists.made_at IS 'when its publisher made it, UTC, where it says so';
COMMENT ON COLUMN symbol_lists.etag IS 'mark of the last good one, for the next request';
COMMENT ON COLUMN symbol_lists.last_modified IS 'time of the last good one as the server wrote it, for the next request';
COMMENT ON COLUMN symbol_lists.address IS 'where it came from; the marks hold for no other place';
COMMENT ON COLUMN symbol_lists.error IS 'why the newest attempt was refused, in a sentence; NULL when it was good';

CREATE TABLE symbol_forms (
    symbol VARCHAR NOT NULL, day DATE NOT NULL, with_dollar BIGINT NOT NULL, in_capitals BIGINT NOT NULL, in_lower BIGINT NOT NULL);
COMMENT ON TABLE symbol_forms IS 'how people write the letters of a symbol, a day at a time; unique by (symbol, day)';
COMMENT ON COLUMN symbol_forms.symbol IS 'letters as written, in capitals: GME, BTC';
COMMENT ON COLUMN symbol_forms.day IS 'UTC day on which the messages were first known';
COMMENT ON COLUMN symbol_forms.with_dollar IS 'messages with $GME, in any case';
COMMENT ON COLUMN symbol_forms.in_capitals IS 'messages with GME without a dollar sign, unless all of the message is in capitals';
COMMENT ON COLUMN symbol_forms.in_lower IS 'messages with gme or Gme without a dollar sign';
CREATE TABLE symbol_form_days (day DATE PRIMARY KEY, messages BIGINT NOT NULL);
COMMENT ON TABLE symbol_form_days IS 'the days for which symbol_forms is complete';
COMMENT ON COLUMN symbol_form_days.day IS 'UTC day';
COMMENT ON COLUMN symbol_form_days.messages IS 'messages whose words were read';

CREATE TABLE symbol_priors (
    computed_on DATE NOT NULL, symbol VARCHAR NOT NULL, with_dollar BIGINT NOT NULL, in_capitals BIGINT NOT NULL, in_lower BIGINT NOT NULL);
COMMENT ON TABLE symbol_priors IS 'symbol_forms summed up over the days before, one version a day: what the finder knows of bare letters';
COMMENT ON COLUMN symbol_priors.computed_on IS 'version: the UTC day; the days before it, 90 at most, are in the sums';
COMMENT ON COLUMN symbol_priors.symbol IS 'letters as written, in capitals: GME, BTC';
COMMENT ON COLUMN symbol_priors.with_dollar IS 'messages with $GME, in any case';
COMMENT ON COLUMN symbol_priors.in_capitals IS 'messages with GME without a dollar sign, unless all of the message is in capitals';
COMMENT ON COLUMN symbol_priors.in_lower IS 'messages with gme or Gme without a dollar sign';
