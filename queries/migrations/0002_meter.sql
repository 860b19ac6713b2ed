-- What the meter needs beside messages: prices, polls that messages carry, news, and the alerts that were told.

CREATE TABLE prices (
    symbol VARCHAR NOT NULL, bucket_width INTERVAL NOT NULL, bucket_start TIMESTAMP NOT NULL, session VARCHAR,
    open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE NOT NULL, adj_close DOUBLE, volume DOUBLE,
    source VARCHAR NOT NULL, fetched_at TIMESTAMP NOT NULL);
COMMENT ON TABLE prices IS 'price bars; unique by (symbol, bucket_width, bucket_start, source)';
COMMENT ON COLUMN prices.symbol IS 'canonical upper-case symbol';
COMMENT ON COLUMN prices.bucket_width IS 'length of the bar: 1 day, 1 hour, 5 minutes, …';
COMMENT ON COLUMN prices.bucket_start IS 'start of the bar, UTC; of a daily bar midnight of its trading date';
COMMENT ON COLUMN prices.session IS 'pre, regular or post; NULL where the source does not say or the market never closes';
COMMENT ON COLUMN prices.open IS 'first price, in the currency of the listing';
COMMENT ON COLUMN prices.high IS 'highest price';
COMMENT ON COLUMN prices.low IS 'lowest price';
COMMENT ON COLUMN prices.close IS 'last price; all changes are taken between these';
COMMENT ON COLUMN prices.adj_close IS 'last price less later dividends and splits, where the source says; used by no metric, it changes afterwards';
COMMENT ON COLUMN prices.volume IS 'shares or coins traded; NULL where unknown';
COMMENT ON COLUMN prices.source IS 'where the bar comes from';
COMMENT ON COLUMN prices.fetched_at IS 'when this tracker first knew it, UTC';

CREATE TABLE ballots (
    source VARCHAR NOT NULL, message_id VARCHAR NOT NULL, symbol VARCHAR NOT NULL, question VARCHAR, option VARCHAR NOT NULL,
    position INTEGER NOT NULL, votes BIGINT, share DOUBLE, voters BIGINT, closes_at TIMESTAMP, created_at TIMESTAMP NOT NULL, seen_at TIMESTAMP NOT NULL);
COMMENT ON TABLE ballots IS 'the polls that messages carry: one row for each option, symbol of the message, and state in which it was seen';
COMMENT ON COLUMN ballots.source IS 'service of the message';
COMMENT ON COLUMN ballots.message_id IS 'messages.id';
COMMENT ON COLUMN ballots.symbol IS 'a symbol that the message names';
COMMENT ON COLUMN ballots.question IS 'what is asked; NULL where the source gives none';
COMMENT ON COLUMN ballots.option IS 'an answer that can be chosen';
COMMENT ON COLUMN ballots.position IS 'its place in the poll, from 1';
COMMENT ON COLUMN ballots.votes IS 'votes for it so far; NULL while the source hides them';
COMMENT ON COLUMN ballots.share IS 'share of the votes, 0..1; NULL while unknown';
COMMENT ON COLUMN ballots.voters IS 'people who voted; NULL while unknown';
COMMENT ON COLUMN ballots.closes_at IS 'when voting ends, UTC; NULL where unknown';
COMMENT ON COLUMN ballots.created_at IS 'messages.created_at';
COMMENT ON COLUMN ballots.seen_at IS 'when this state was seen, UTC: the point-in-time axis';

CREATE TABLE headlines (
    source VARCHAR NOT NULL, id VARCHAR NOT NULL, stream VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL, fetched_at TIMESTAMP NOT NULL,
    publisher VARCHAR, title VARCHAR NOT NULL, text VARCHAR, lang VARCHAR, url VARCHAR, symbols VARCHAR[] NOT NULL, text_key UBIGINT);
COMMENT ON TABLE headlines IS 'news from feeds, kept apart from talk; unique by (source, id)';
COMMENT ON COLUMN headlines.source IS 'service';
COMMENT ON COLUMN headlines.id IS 'native id, as text';
COMMENT ON COLUMN headlines.stream IS 'feed in which it was first seen';
COMMENT ON COLUMN headlines.created_at IS 'when it was published, UTC';
COMMENT ON COLUMN headlines.fetched_at IS 'when this tracker first knew it, UTC';
COMMENT ON COLUMN headlines.publisher IS 'who published it; NULL where the feed does not say';
COMMENT ON COLUMN headlines.title IS 'plain text';
COMMENT ON COLUMN headlines.text IS 'summary, plain text; NULL without one or after retention';
COMMENT ON COLUMN headlines.lang IS 'BCP-47 tag, NULL where the feed does not say';
COMMENT ON COLUMN headlines.url IS 'permalink';
COMMENT ON COLUMN headlines.symbols IS 'symbols that it names';
COMMENT ON COLUMN headlines.text_key IS 'hash of the normalised title, which copies share';

CREATE TABLE alerts (
    rule VARCHAR NOT NULL, symbol VARCHAR NOT NULL, "at" TIMESTAMP NOT NULL, channel VARCHAR NOT NULL, kind VARCHAR NOT NULL,
    title VARCHAR NOT NULL, body VARCHAR NOT NULL, link VARCHAR, event_key VARCHAR NOT NULL, status VARCHAR NOT NULL, attempts INTEGER NOT NULL,
    next_try_at TIMESTAMP, sent_at TIMESTAMP, error VARCHAR, created_at TIMESTAMP NOT NULL, PRIMARY KEY (rule, symbol, "at", channel));
COMMENT ON TABLE alerts IS 'what was told, and what waits to be: the outbox. Never told twice, also after a restart';
COMMENT ON COLUMN alerts.rule IS 'name of the rule in config.toml';
COMMENT ON COLUMN alerts.symbol IS 'canonical symbol; the source for source_down and source_back; * for a digest';
COMMENT ON COLUMN alerts."at" IS 'the moment it is about, UTC';
COMMENT ON COLUMN alerts.channel IS 'name of the channel in config.toml; its address is never stored';
COMMENT ON COLUMN alerts.kind IS 'spike_started, spike_rose, spike_ended, label_changed, crossed, quiet, source_down, source_back, digest';
COMMENT ON COLUMN alerts.title IS 'one line';
COMMENT ON COLUMN alerts.body IS 'the sentence of the brief';
COMMENT ON COLUMN alerts.link IS 'where to read on; NULL for nowhere';
COMMENT ON COLUMN alerts.event_key IS 'the same for every attempt: a receiver that has seen it may drop the second';
COMMENT ON COLUMN alerts.status IS 'waiting, sent, failed (given up), dry (a replay: never sent)';
COMMENT ON COLUMN alerts.attempts IS 'how often it was tried';
COMMENT ON COLUMN alerts.next_try_at IS 'not before, UTC; NULL when nothing is to be done';
COMMENT ON COLUMN alerts.sent_at IS 'when a receiver took it, UTC';
COMMENT ON COLUMN alerts.error IS 'why the last attempt failed, secrets left out';
COMMENT ON COLUMN alerts.created_at IS 'when it was written down, UTC';

CREATE TABLE alert_states (rule VARCHAR NOT NULL, symbol VARCHAR NOT NULL, state VARCHAR NOT NULL, "at" TIMESTAMP NOT NULL, PRIMARY KEY (rule, symbol));
COMMENT ON TABLE alert_states IS 'where each rule stands for each symbol, so that a restart neither repeats nor forgets';
COMMENT ON COLUMN alert_states.rule IS 'name of the rule in config.toml';
COMMENT ON COLUMN alert_states.symbol IS 'as in alerts.symbol';
COMMENT ON COLUMN alert_states.state IS 'JSON, owned by the rule';
COMMENT ON COLUMN alert_states."at" IS 'the moment up to which it has been looked at, UTC';
