-- Facts are written once by the poller; derived tables are made by SQL and can be dropped and rebuilt to the
-- same rows. All times are UTC. Ratios are 0..1, scores 0..100, tone -1..1. What is unknown is NULL, never 0.
-- There are no big indexes: uniqueness is held by the single writer, `tracker check` proves it (docs/design.md).

CREATE TABLE schema_version (version INTEGER NOT NULL, applied_at TIMESTAMP NOT NULL, name VARCHAR NOT NULL);
COMMENT ON TABLE schema_version IS 'migrations that were applied, newest last';
COMMENT ON COLUMN schema_version.version IS 'number of the migration';
COMMENT ON COLUMN schema_version.applied_at IS 'when it was applied, UTC';
COMMENT ON COLUMN schema_version.name IS 'file name of the migration';

CREATE TABLE settings (key VARCHAR NOT NULL, value VARCHAR, since TIMESTAMP NOT NULL);
COMMENT ON TABLE settings IS 'the configuration in force, secrets left out; one row per change';
COMMENT ON COLUMN settings.key IS 'dotted path as in config.toml';
COMMENT ON COLUMN settings.value IS 'value as text; NULL after the key was removed';
COMMENT ON COLUMN settings.since IS 'from when on it was in force, UTC';

CREATE TABLE meter_settings (
    k DOUBLE NOT NULL, band_1 DOUBLE NOT NULL, band_2 DOUBLE NOT NULL, band_3 DOUBLE NOT NULL, band_4 DOUBLE NOT NULL,
    zone VARCHAR NOT NULL, baseline_days INTEGER NOT NULL, spike_z DOUBLE NOT NULL, spike_messages INTEGER NOT NULL,
    spike_authors INTEGER NOT NULL);
COMMENT ON TABLE meter_settings IS 'the constants that the metrics use; one row, from config.toml';
COMMENT ON COLUMN meter_settings.k IS 'weight of the market habit in the shrunken log-odds, in messages';
COMMENT ON COLUMN meter_settings.band_1 IS 'score below which a label is extremely bearish / extremely low';
COMMENT ON COLUMN meter_settings.band_2 IS 'score below which a label is bearish / low';
COMMENT ON COLUMN meter_settings.band_3 IS 'score above which a label is bullish / high';
COMMENT ON COLUMN meter_settings.band_4 IS 'score above which a label is extremely bullish / extremely high';
COMMENT ON COLUMN meter_settings.zone IS 'time zone of the market, for the clock of the week';
COMMENT ON COLUMN meter_settings.baseline_days IS 'whole days before a window from which its expectation is made';
COMMENT ON COLUMN meter_settings.spike_z IS 'volume_z from which a bucket is a spike';
COMMENT ON COLUMN meter_settings.spike_messages IS 'organic messages that a spike needs at least';
COMMENT ON COLUMN meter_settings.spike_authors IS 'distinct authors that a spike needs at least';

CREATE TABLE meter_windows (window_name VARCHAR NOT NULL, seconds BIGINT NOT NULL);
COMMENT ON TABLE meter_windows IS 'the windows that readings are taken of, from config.toml';
COMMENT ON COLUMN meter_windows.window_name IS 'as it stands in readings: 1h, 24h, 7d';
COMMENT ON COLUMN meter_windows.seconds IS 'width of the window, seconds, a multiple of 300';
INSERT INTO meter_windows VALUES ('1h', 3600), ('24h', 86400), ('7d', 604800);

CREATE TABLE messages (
    source VARCHAR NOT NULL, id VARCHAR NOT NULL, stream VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL, fetched_at TIMESTAMP NOT NULL, time_flag BOOLEAN NOT NULL,
    author VARCHAR, text VARCHAR, lang VARCHAR, url VARCHAR, label VARCHAR, reply_to VARCHAR, reshare_of VARCHAR,
    likes BIGINT, reshares BIGINT, replies BIGINT, text_key UBIGINT, revision VARCHAR, deleted_at TIMESTAMP);
COMMENT ON TABLE messages IS 'one public post, comment or reply; unique by (source, id)';
COMMENT ON COLUMN messages.source IS 'service: stocktwits, reddit, …';
COMMENT ON COLUMN messages.id IS 'native id, as text';
COMMENT ON COLUMN messages.stream IS 'the sequence in which it was first seen: symbol/BABA, r/stocks, posts';
COMMENT ON COLUMN messages.created_at IS 'when the author posted, UTC, as the service says';
COMMENT ON COLUMN messages.fetched_at IS 'when this tracker first knew it, UTC: the point-in-time axis';
COMMENT ON COLUMN messages.time_flag IS 'created_at is not the author''s: the claim was impossible and clamped, or only an edit was seen';
COMMENT ON COLUMN messages.author IS 'keyed hash of source and author; never the name. NULL where unknown or deleted';
COMMENT ON COLUMN messages.text IS 'plain text, unescaped once; NULL after retention or deletion';
COMMENT ON COLUMN messages.lang IS 'BCP-47 tag, NULL where the service does not say';
COMMENT ON COLUMN messages.url IS 'permalink';
COMMENT ON COLUMN messages.label IS 'stance that the author declared: bullish, bearish, NULL for none';
COMMENT ON COLUMN messages.reply_to IS 'native id of the parent';
COMMENT ON COLUMN messages.reshare_of IS 'native id of the original';
COMMENT ON COLUMN messages.likes IS 'last seen count, NULL where the service does not say';
COMMENT ON COLUMN messages.reshares IS 'last seen count, NULL where the service does not say';
COMMENT ON COLUMN messages.replies IS 'last seen count, NULL where the service does not say';
COMMENT ON COLUMN messages.text_key IS 'hash of the normalised text, which copies share; NULL when nothing is left of it';
COMMENT ON COLUMN messages.revision IS 'age of the content, sorts as text; a higher one has replaced the text';
COMMENT ON COLUMN messages.deleted_at IS 'when the service said that it is gone, UTC; text and author are then NULL';

CREATE TABLE mentions (
    source VARCHAR NOT NULL, message_id VARCHAR NOT NULL, symbol VARCHAR NOT NULL, match VARCHAR NOT NULL,
    surface VARCHAR, confidence DOUBLE NOT NULL, created_at TIMESTAMP NOT NULL, fetched_at TIMESTAMP NOT NULL,
    author VARCHAR, text_key UBIGINT, stance TINYINT NOT NULL, tone DOUBLE NOT NULL, label TINYINT, reshare BOOLEAN NOT NULL,
    reshare_of VARCHAR);
COMMENT ON TABLE mentions IS 'one message naming one symbol; unique by (source, message_id, symbol)';
COMMENT ON COLUMN mentions.source IS 'service of the message';
COMMENT ON COLUMN mentions.message_id IS 'messages.id';
COMMENT ON COLUMN mentions.symbol IS 'canonical upper-case symbol: BABA, BRK.B, BTC.X, ES_F, 9988.HK';
COMMENT ON COLUMN mentions.match IS 'how it was found: platform, cashtag, qualified, symbol, name';
COMMENT ON COLUMN mentions.surface IS 'the characters in the text; NULL where only the platform said so';
COMMENT ON COLUMN mentions.confidence IS 'how sure the finder is, 0..1';
COMMENT ON COLUMN mentions.created_at IS 'messages.created_at';
COMMENT ON COLUMN mentions.fetched_at IS 'messages.fetched_at';
COMMENT ON COLUMN mentions.author IS 'messages.author';
COMMENT ON COLUMN mentions.text_key IS 'messages.text_key';
COMMENT ON COLUMN mentions.stance IS '1 bullish, -1 bearish, 0 neither: the author''s label where there is one, else from the tone';
COMMENT ON COLUMN mentions.tone IS 'tone of the message by the current scorer, -1..1';
COMMENT ON COLUMN mentions.label IS 'the author''s label as a number: 1, -1, NULL';
COMMENT ON COLUMN mentions.reshare IS 'the message passes on another one';
COMMENT ON COLUMN mentions.reshare_of IS 'messages.reshare_of';

CREATE TABLE tones (
    source VARCHAR NOT NULL, message_id VARCHAR NOT NULL, scorer VARCHAR NOT NULL, tone DOUBLE NOT NULL,
    p_bullish DOUBLE NOT NULL, stance TINYINT NOT NULL);
COMMENT ON TABLE tones IS 'one score of one message by one scorer; unique by (source, message_id, scorer)';
COMMENT ON COLUMN tones.source IS 'service of the message';
COMMENT ON COLUMN tones.message_id IS 'messages.id';
COMMENT ON COLUMN tones.scorer IS 'name and version of what made the score';
COMMENT ON COLUMN tones.tone IS '-1..1';
COMMENT ON COLUMN tones.p_bullish IS 'probability that the author is bullish, 0..1';
COMMENT ON COLUMN tones.stance IS '1, 0, -1 from p_bullish and the neutral band, before the author''s label';

CREATE TABLE tombstones (source VARCHAR NOT NULL, id VARCHAR NOT NULL, revision VARCHAR, deleted_at TIMESTAMP NOT NULL);
COMMENT ON TABLE tombstones IS 'deletions that sources announced: what they name is not stored again';
COMMENT ON COLUMN tombstones.source IS 'service';
COMMENT ON COLUMN tombstones.id IS 'native id of the message';
COMMENT ON COLUMN tombstones.revision IS 'a message of a higher revision was made again later and may be stored';
COMMENT ON COLUMN tombstones.deleted_at IS 'when the service said so, UTC';

CREATE TABLE gone_authors (source VARCHAR NOT NULL, author VARCHAR NOT NULL, deleted_at TIMESTAMP NOT NULL);
COMMENT ON TABLE gone_authors IS 'authors whose account is gone: what they wrote before is not stored again';
COMMENT ON COLUMN gone_authors.source IS 'service';
COMMENT ON COLUMN gone_authors.author IS 'keyed hash, as in messages.author';
COMMENT ON COLUMN gone_authors.deleted_at IS 'when the service said so, UTC';

CREATE TABLE streams (
    source VARCHAR NOT NULL, name VARCHAR NOT NULL, cursor VARCHAR, enabled BOOLEAN NOT NULL, failures INTEGER NOT NULL,
    next_poll_at TIMESTAMP, last_success_at TIMESTAMP, last_message_at TIMESTAMP, note VARCHAR, PRIMARY KEY (source, name));
COMMENT ON TABLE streams IS 'one pollable sequence within a source';
COMMENT ON COLUMN streams.source IS 'service';
COMMENT ON COLUMN streams.name IS 'name of the stream within the source';
COMMENT ON COLUMN streams.cursor IS 'JSON resume point, owned by the source';
COMMENT ON COLUMN streams.enabled IS 'whether the configuration asks for it';
COMMENT ON COLUMN streams.failures IS 'failed polls in a row';
COMMENT ON COLUMN streams.next_poll_at IS 'not before this time, UTC; NULL for at once';
COMMENT ON COLUMN streams.last_success_at IS 'start of the last poll that worked, UTC';
COMMENT ON COLUMN streams.last_message_at IS 'created_at of the newest message it brought, UTC';
COMMENT ON COLUMN streams.note IS 'one line for a person: why it is off, or what is wrong';

CREATE TABLE polls (
    source VARCHAR NOT NULL, stream VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, duration_ms BIGINT NOT NULL,
    up TINYINT NOT NULL, status VARCHAR NOT NULL, http_status INTEGER, fetched BIGINT NOT NULL, added BIGINT NOT NULL,
    updated BIGINT NOT NULL, skipped BIGINT NOT NULL, bytes BIGINT NOT NULL, requests INTEGER NOT NULL, error VARCHAR,
    retry_after_s DOUBLE, covers_from TIMESTAMP);
COMMENT ON TABLE polls IS 'one attempt on one stream, good or bad';
COMMENT ON COLUMN polls.source IS 'service';
COMMENT ON COLUMN polls.stream IS 'stream within the source';
COMMENT ON COLUMN polls.started_at IS 'when the attempt began, UTC';
COMMENT ON COLUMN polls.duration_ms IS 'how long it took, milliseconds';
COMMENT ON COLUMN polls.up IS '1 if it worked, else 0';
COMMENT ON COLUMN polls.status IS 'ok, unchanged, rate_limited, denied, unavailable, malformed, error';
COMMENT ON COLUMN polls.http_status IS 'status of the last answer, NULL without one';
COMMENT ON COLUMN polls.fetched IS 'items on the pages';
COMMENT ON COLUMN polls.added IS 'messages that were new';
COMMENT ON COLUMN polls.updated IS 'messages whose text was replaced or that were deleted';
COMMENT ON COLUMN polls.skipped IS 'items that could not be read';
COMMENT ON COLUMN polls.bytes IS 'decoded body bytes';
COMMENT ON COLUMN polls.requests IS 'requests that it took';
COMMENT ON COLUMN polls.error IS 'what went wrong, in a sentence';
COMMENT ON COLUMN polls.retry_after_s IS 'how long the server asked us to stay away, seconds';
COMMENT ON COLUMN polls.covers_from IS 'everything that the stream carried from then to started_at is stored, UTC';

CREATE TABLE gaps (
    source VARCHAR NOT NULL, stream VARCHAR NOT NULL, from_at TIMESTAMP NOT NULL, to_at TIMESTAMP NOT NULL,
    reason VARCHAR NOT NULL, found_at TIMESTAMP NOT NULL);
COMMENT ON TABLE gaps IS 'a span in which a stream is known to have lost messages';
COMMENT ON COLUMN gaps.source IS 'service';
COMMENT ON COLUMN gaps.stream IS 'stream within the source';
COMMENT ON COLUMN gaps.from_at IS 'start of the span, UTC';
COMMENT ON COLUMN gaps.to_at IS 'end of the span, UTC';
COMMENT ON COLUMN gaps.reason IS 'why they can''t be fetched any more';
COMMENT ON COLUMN gaps.found_at IS 'when it was noticed, UTC';

CREATE TABLE limits (scope VARCHAR PRIMARY KEY, not_before TIMESTAMP NOT NULL, reason VARCHAR NOT NULL, since TIMESTAMP NOT NULL);
COMMENT ON TABLE limits IS 'times that servers named: nobody in scope is asked before';
COMMENT ON COLUMN limits.scope IS 'source:NAME or host:NAME';
COMMENT ON COLUMN limits.not_before IS 'the named time, UTC';
COMMENT ON COLUMN limits.reason IS 'what the server said';
COMMENT ON COLUMN limits.since IS 'when it said so, UTC';

CREATE TABLE symbols (
    symbol VARCHAR NOT NULL, name VARCHAR, exchange VARCHAR, kind VARCHAR, aliases VARCHAR[], valid_from TIMESTAMP,
    valid_to TIMESTAMP, status VARCHAR NOT NULL);
COMMENT ON TABLE symbols IS 'the universe: symbols that the tracker knows';
COMMENT ON COLUMN symbols.symbol IS 'canonical upper-case symbol';
COMMENT ON COLUMN symbols.name IS 'issuer, fund or coin';
COMMENT ON COLUMN symbols.exchange IS 'where it is listed, NULL where unknown';
COMMENT ON COLUMN symbols.kind IS 'stock, etf, coin, index, future, fx';
COMMENT ON COLUMN symbols.aliases IS 'names under which people speak of it';
COMMENT ON COLUMN symbols.valid_from IS 'listed since, UTC, NULL where unknown';
COMMENT ON COLUMN symbols.valid_to IS 'retired on, UTC, NULL while listed';
COMMENT ON COLUMN symbols.status IS 'listed, retired, unverified';

CREATE TABLE watchlist (symbol VARCHAR NOT NULL, group_name VARCHAR);
COMMENT ON TABLE watchlist IS 'symbols that the operator follows, as configured';
COMMENT ON COLUMN watchlist.symbol IS 'canonical upper-case symbol';
COMMENT ON COLUMN watchlist.group_name IS 'group in config.toml; NULL for the plain list';

CREATE TABLE journal_applied (sequence BIGINT NOT NULL);
COMMENT ON TABLE journal_applied IS 'one row: the last record of the journal beside the file that is in the tables';
COMMENT ON COLUMN journal_applied.sequence IS 'sequence number in the journal';
INSERT INTO journal_applied VALUES (0);

-- ---------------------------------------------------------------------------------------------------- derived

CREATE TABLE touched (symbol VARCHAR NOT NULL, day DATE NOT NULL);
COMMENT ON TABLE touched IS 'symbol-days whose facts have changed since the last rollup; empty after it';
COMMENT ON COLUMN touched.symbol IS 'canonical upper-case symbol';
COMMENT ON COLUMN touched.day IS 'UTC day';

CREATE TABLE touched_coverage (source VARCHAR NOT NULL, stream VARCHAR NOT NULL, from_at TIMESTAMP NOT NULL);
COMMENT ON TABLE touched_coverage IS 'streams with polls that coverage_hours does not know yet; empty after a rollup';
COMMENT ON COLUMN touched_coverage.source IS 'service';
COMMENT ON COLUMN touched_coverage.stream IS 'stream within the source';
COMMENT ON COLUMN touched_coverage.from_at IS 'since when it was covered, UTC';

CREATE TABLE buckets (
    symbol VARCHAR NOT NULL, source VARCHAR NOT NULL, bucket_width INTERVAL NOT NULL, bucket_start TIMESTAMP NOT NULL,
    messages BIGINT NOT NULL, organic BIGINT NOT NULL, authors BIGINT NOT NULL, texts BIGINT NOT NULL,
    bullish BIGINT NOT NULL, bearish BIGINT NOT NULL, neutral BIGINT NOT NULL,
    labelled_bullish BIGINT NOT NULL, labelled_bearish BIGINT NOT NULL, tone_sum DOUBLE NOT NULL, tone_sq_sum DOUBLE NOT NULL,
    reshares BIGINT NOT NULL, up DOUBLE);
COMMENT ON TABLE buckets IS 'one symbol, one source (* for all), one aligned interval; no row means that nobody spoke, or nobody listened: see coverage';
COMMENT ON COLUMN buckets.symbol IS 'canonical upper-case symbol';
COMMENT ON COLUMN buckets.source IS 'service, or * for all together';
COMMENT ON COLUMN buckets.bucket_width IS '5 minutes, 1 hour or 1 day';
COMMENT ON COLUMN buckets.bucket_start IS 'start of the interval, UTC, aligned';
COMMENT ON COLUMN buckets.messages IS 'messages that mention the symbol';
COMMENT ON COLUMN buckets.organic IS 'messages less the copied ones';
COMMENT ON COLUMN buckets.authors IS 'distinct authors of all messages';
COMMENT ON COLUMN buckets.texts IS 'distinct normalised texts of all messages';
COMMENT ON COLUMN buckets.bullish IS 'organic messages with stance 1';
COMMENT ON COLUMN buckets.bearish IS 'organic messages with stance -1';
COMMENT ON COLUMN buckets.neutral IS 'organic messages with stance 0; bullish + bearish + neutral = organic';
COMMENT ON COLUMN buckets.labelled_bullish IS 'messages whose author declared bullish';
COMMENT ON COLUMN buckets.labelled_bearish IS 'messages whose author declared bearish';
COMMENT ON COLUMN buckets.tone_sum IS 'sum of the tone of the organic messages';
COMMENT ON COLUMN buckets.tone_sq_sum IS 'sum of the squared tone of the organic messages';
COMMENT ON COLUMN buckets.reshares IS 'messages that pass on another one';
COMMENT ON COLUMN buckets.up IS 'share of the interval in which the streams concerned were listened to, 0..1; of the whole hour in the case of 5 minutes';

CREATE TABLE coverage_hours (source VARCHAR NOT NULL, stream VARCHAR NOT NULL, hour_start TIMESTAMP NOT NULL, up DOUBLE NOT NULL);
COMMENT ON TABLE coverage_hours IS 'share of each hour that polls of a stream have covered';
COMMENT ON COLUMN coverage_hours.source IS 'service';
COMMENT ON COLUMN coverage_hours.stream IS 'stream within the source';
COMMENT ON COLUMN coverage_hours.hour_start IS 'start of the hour, UTC';
COMMENT ON COLUMN coverage_hours.up IS 'covered share, 0..1';

CREATE TABLE market_days (
    day DATE NOT NULL, p0 DOUBLE NOT NULL, s0 DOUBLE NOT NULL, symbol_days BIGINT NOT NULL, habit VARCHAR NOT NULL,
    profile DOUBLE[] NOT NULL, profile_weeks INTEGER NOT NULL);
COMMENT ON TABLE market_days IS 'what all readings of one UTC day share: the habit of the market and the clock of its week';
COMMENT ON COLUMN market_days.day IS 'UTC day';
COMMENT ON COLUMN market_days.p0 IS 'share of bullish among opinionated messages in the 90 days before';
COMMENT ON COLUMN market_days.s0 IS 'robust spread of the shrunken log-odds over symbol-days in the 90 days before';
COMMENT ON COLUMN market_days.symbol_days IS 'symbol-days with at least 5 opinions behind s0';
COMMENT ON COLUMN market_days.habit IS 'stored: from the data; default: fewer than 200 symbol-days, 0.70 and 0.90 stand';
COMMENT ON COLUMN market_days.profile IS 'f(h) for the 168 hours of the week in the market''s zone, Monday 00:00 first, mean 1';
COMMENT ON COLUMN market_days.profile_weeks IS 'whole weeks behind the profile; fewer than 2 make it flat';

CREATE TABLE symbol_days (
    symbol VARCHAR NOT NULL, day DATE NOT NULL, rate DOUBLE NOT NULL, pool_rate DOUBLE NOT NULL, hours DOUBLE NOT NULL,
    organic BIGINT NOT NULL, scale_hour DOUBLE NOT NULL, scale_day DOUBLE NOT NULL, scale_week DOUBLE NOT NULL,
    own_mean DOUBLE, own_sd DOUBLE, own_days BIGINT NOT NULL);
COMMENT ON TABLE symbol_days IS 'what all readings of one symbol share whose window starts on one UTC day: its expectation and its own habit';
COMMENT ON COLUMN symbol_days.symbol IS 'canonical upper-case symbol; * for a symbol that was not seen in the 28 days';
COMMENT ON COLUMN symbol_days.day IS 'UTC day on which the window starts';
COMMENT ON COLUMN symbol_days.rate IS 'r: organic messages per seasonally adjusted hour, 3 busiest days left out, shrunk to the pool';
COMMENT ON COLUMN symbol_days.pool_rate IS 'r_pool: median rate of all symbols with any message in the 28 days';
COMMENT ON COLUMN symbol_days.hours IS 'seasonally adjusted hours behind the rate';
COMMENT ON COLUMN symbol_days.organic IS 'organic messages in the 28 days before';
COMMENT ON COLUMN symbol_days.scale_hour IS 'max(1, 1.4826 MAD) of the hourly residuals over the 28 days before';
COMMENT ON COLUMN symbol_days.scale_day IS 'max(1, 1.4826 MAD) of the daily residuals over the 28 days before';
COMMENT ON COLUMN symbol_days.scale_week IS 'max(1, 1.4826 MAD) of the weekly residuals over the 28 days before';
COMMENT ON COLUMN symbol_days.own_mean IS 'mean of the symbol''s own daily x over the 30 days before; NULL with fewer than 10 such days';
COMMENT ON COLUMN symbol_days.own_sd IS 'standard deviation of the same';
COMMENT ON COLUMN symbol_days.own_days IS 'days with at least 3 opinions behind them';

CREATE TABLE readings (
    symbol VARCHAR NOT NULL, "at" TIMESTAMP NOT NULL, window_name VARCHAR NOT NULL,
    messages BIGINT NOT NULL, organic BIGINT NOT NULL, authors BIGINT NOT NULL, texts BIGINT NOT NULL,
    bullish BIGINT NOT NULL, bearish BIGINT NOT NULL, neutral BIGINT NOT NULL,
    bullish_ratio DOUBLE, bullish_ratio_low DOUBLE, bullish_ratio_high DOUBLE, bullishness DOUBLE, agreement DOUBLE,
    tone_mean DOUBLE, tone_sd DOUBLE, labelled_ratio DOUBLE, sentiment_z DOUBLE, sentiment_z_own DOUBLE,
    sentiment_score DOUBLE, sentiment_label VARCHAR, expected DOUBLE, volume_z DOUBLE, volume_score DOUBLE, volume_label VARCHAR,
    previous_messages BIGINT NOT NULL, volume_change DOUBLE, buzz DOUBLE, buzz_rank BIGINT, buzz_rank_before BIGINT,
    share_of_voice DOUBLE, dispersion DOUBLE, copied_ratio DOUBLE, sources_up BIGINT NOT NULL, baseline VARCHAR NOT NULL,
    volume_baseline VARCHAR NOT NULL, computed_at TIMESTAMP NOT NULL);
COMMENT ON TABLE readings IS 'what the meter showed for one symbol and window at one moment; append-only, unique by (symbol, window_name, at)';
COMMENT ON COLUMN readings.symbol IS 'canonical upper-case symbol';
COMMENT ON COLUMN readings."at" IS 'the moment, UTC; the window is [at - width, at)';
COMMENT ON COLUMN readings.window_name IS '1h, 24h or 7d';
COMMENT ON COLUMN readings.messages IS 'n: messages in the window';
COMMENT ON COLUMN readings.organic IS 'o: messages less the copied ones';
COMMENT ON COLUMN readings.authors IS 'a: distinct authors';
COMMENT ON COLUMN readings.texts IS 'd: distinct normalised texts';
COMMENT ON COLUMN readings.bullish IS 'B: organic messages with stance 1';
COMMENT ON COLUMN readings.bearish IS 'S: organic messages with stance -1';
COMMENT ON COLUMN readings.neutral IS 'organic messages with stance 0';
COMMENT ON COLUMN readings.bullish_ratio IS 'B / (B + S); NULL without opinions';
COMMENT ON COLUMN readings.bullish_ratio_low IS 'lower end of its Wilson 95 % interval';
COMMENT ON COLUMN readings.bullish_ratio_high IS 'upper end of its Wilson 95 % interval';
COMMENT ON COLUMN readings.bullishness IS 'ln((1 + B) / (1 + S)); NULL without opinions';
COMMENT ON COLUMN readings.agreement IS '1 - sqrt(1 - ((B - S) / (B + S))^2); NULL without opinions';
COMMENT ON COLUMN readings.tone_mean IS 'mean tone of the organic messages';
COMMENT ON COLUMN readings.tone_sd IS 'sample standard deviation of the same; NULL with fewer than 2';
COMMENT ON COLUMN readings.labelled_ratio IS 'messages with a declared label / n';
COMMENT ON COLUMN readings.sentiment_z IS '(x - logit p0) / s0: how bullish beside what is usually said about any symbol; NULL below 3 opinions';
COMMENT ON COLUMN readings.sentiment_z_own IS '(x - mean) / sd of the symbol''s own daily x in the 30 days before; NULL with fewer than 10 days';
COMMENT ON COLUMN readings.sentiment_score IS '100 Phi(sentiment_z); NULL below 3 opinions';
COMMENT ON COLUMN readings.sentiment_label IS 'extremely bearish, bearish, neutral, bullish, extremely bullish, by the bands in meter_settings';
COMMENT ON COLUMN readings.expected IS 'organic messages that the past and the clock of the week lead one to expect';
COMMENT ON COLUMN readings.volume_z IS 'Anscombe residual of organic against expected, over its robust scale';
COMMENT ON COLUMN readings.volume_score IS '100 Phi(volume_z)';
COMMENT ON COLUMN readings.volume_label IS 'extremely low, low, normal, high, extremely high, by the same bands';
COMMENT ON COLUMN readings.previous_messages IS 'p: messages in the equal window just before';
COMMENT ON COLUMN readings.volume_change IS '(n - p) / p; NULL when p < 10';
COMMENT ON COLUMN readings.buzz IS 'organic / expected';
COMMENT ON COLUMN readings.buzz_rank IS 'rank by organic among all symbols in the same window';
COMMENT ON COLUMN readings.buzz_rank_before IS 'the same rank 24 hours earlier; NULL when the symbol had no message then';
COMMENT ON COLUMN readings.share_of_voice IS 'n / messages over all symbols in the window';
COMMENT ON COLUMN readings.dispersion IS 'a / n';
COMMENT ON COLUMN readings.copied_ratio IS 'copied / n';
COMMENT ON COLUMN readings.sources_up IS 'sources of which at least half of the window was listened to';
COMMENT ON COLUMN readings.baseline IS 'own, pooled or none as volume_baseline; default when the habit of the market is not known yet';
COMMENT ON COLUMN readings.volume_baseline IS 'own: the symbol was seen in the 28 days before; pooled: only others were; none: nobody was, expected is NULL';
COMMENT ON COLUMN readings.computed_at IS 'when it was computed, UTC';

CREATE TABLE spikes (
    symbol VARCHAR NOT NULL, bucket_width INTERVAL NOT NULL, bucket_start TIMESTAMP NOT NULL, messages BIGINT NOT NULL,
    organic BIGINT NOT NULL, authors BIGINT NOT NULL, texts BIGINT NOT NULL, expected DOUBLE NOT NULL, z DOUBLE NOT NULL,
    p_value DOUBLE NOT NULL, severity VARCHAR NOT NULL, kind VARCHAR NOT NULL, top_terms VARCHAR[], top_message_id VARCHAR,
    found_at TIMESTAMP NOT NULL);
COMMENT ON TABLE spikes IS 'a bucket far above its expectation; unique by (symbol, bucket_width, bucket_start)';
COMMENT ON COLUMN spikes.symbol IS 'canonical upper-case symbol';
COMMENT ON COLUMN spikes.bucket_width IS '5 minutes, 1 hour or 1 day';
COMMENT ON COLUMN spikes.bucket_start IS 'start of the bucket, UTC';
COMMENT ON COLUMN spikes.messages IS 'messages in the bucket';
COMMENT ON COLUMN spikes.organic IS 'messages less the copied ones';
COMMENT ON COLUMN spikes.authors IS 'distinct authors';
COMMENT ON COLUMN spikes.texts IS 'distinct normalised texts';
COMMENT ON COLUMN spikes.expected IS 'organic messages that were to be expected';
COMMENT ON COLUMN spikes.z IS 'volume_z of the bucket';
COMMENT ON COLUMN spikes.p_value IS '1 - Phi(z)';
COMMENT ON COLUMN spikes.severity IS 'notable (z >= 3), high (>= 5), extreme (>= 8)';
COMMENT ON COLUMN spikes.kind IS 'organic when at least half of the texts are distinct, else copied';
COMMENT ON COLUMN spikes.top_terms IS 'words that set the bucket apart; NULL until they are computed';
COMMENT ON COLUMN spikes.top_message_id IS 'message passed on or liked most in the bucket; NULL where the source gives no counts';
COMMENT ON COLUMN spikes.found_at IS 'when it was found, UTC';
