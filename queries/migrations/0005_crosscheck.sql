-- What is no talk: what other services say of it, option volumes; and polls say what they were for.

CREATE TABLE crosscheck (
    service VARCHAR NOT NULL, stream VARCHAR NOT NULL, symbol VARCHAR NOT NULL, "at" TIMESTAMP NOT NULL, window_name VARCHAR,
    rank BIGINT, mentions BIGINT, rank_before BIGINT, mentions_before BIGINT, upvotes BIGINT, sentiment DOUBLE,
    sentiment_score DOUBLE, sentiment_label VARCHAR, volume_score DOUBLE, volume_label VARCHAR, fetched_at TIMESTAMP NOT NULL);
COMMENT ON TABLE crosscheck IS 'what other services publish about the talk: to be looked at beside ours, part of no metric; unique by (service, stream, symbol, window_name, at)';
COMMENT ON COLUMN crosscheck.service IS 'who says so: apewisdom, tradestie, …';
COMMENT ON COLUMN crosscheck.stream IS 'part of the service that was read: filter/all-stocks, symbol/BABA';
COMMENT ON COLUMN crosscheck.symbol IS 'canonical upper-case symbol';
COMMENT ON COLUMN crosscheck."at" IS 'the moment of which it is said, UTC; when it was fetched where the service does not say';
COMMENT ON COLUMN crosscheck.window_name IS 'span that the service looks back on: 15m, 24h; NULL where it does not say';
COMMENT ON COLUMN crosscheck.rank IS 'place in the list of the service, 1 for the most talked about';
COMMENT ON COLUMN crosscheck.mentions IS 'messages that the service has counted in the span';
COMMENT ON COLUMN crosscheck.rank_before IS 'the same place an equal span earlier';
COMMENT ON COLUMN crosscheck.mentions_before IS 'the same count an equal span earlier';
COMMENT ON COLUMN crosscheck.upvotes IS 'votes for those messages';
COMMENT ON COLUMN crosscheck.sentiment IS 'tone as the service measures it, -1..1';
COMMENT ON COLUMN crosscheck.sentiment_score IS 'its sentiment as a score, 0..100';
COMMENT ON COLUMN crosscheck.sentiment_label IS 'its word for the sentiment, lower case';
COMMENT ON COLUMN crosscheck.volume_score IS 'its message volume as a score, 0..100';
COMMENT ON COLUMN crosscheck.volume_label IS 'its word for the volume, lower case';
COMMENT ON COLUMN crosscheck.fetched_at IS 'when this tracker first knew it, UTC: the point-in-time axis';

CREATE TABLE options (
    symbol VARCHAR NOT NULL, "at" TIMESTAMP NOT NULL, put_volume BIGINT, call_volume BIGINT, put_oi BIGINT, call_oi BIGINT,
    source VARCHAR NOT NULL, fetched_at TIMESTAMP NOT NULL);
COMMENT ON TABLE options IS 'the options of a symbol, added up over all strikes and dates; unique by (symbol, source, at)';
COMMENT ON COLUMN options.symbol IS 'canonical upper-case symbol of the underlying';
COMMENT ON COLUMN options."at" IS 'the moment that the source names, UTC; when it was fetched where it names none';
COMMENT ON COLUMN options.put_volume IS 'puts traded on the trading day so far, contracts; NULL where unknown';
COMMENT ON COLUMN options.call_volume IS 'calls traded on the trading day so far, contracts; NULL where unknown';
COMMENT ON COLUMN options.put_oi IS 'open interest in puts, contracts, of the day before; NULL where unknown';
COMMENT ON COLUMN options.call_oi IS 'open interest in calls, contracts, of the day before; NULL where unknown';
COMMENT ON COLUMN options.source IS 'where it comes from';
COMMENT ON COLUMN options.fetched_at IS 'when this tracker first knew it, UTC: the point-in-time axis';

ALTER TABLE polls ADD COLUMN brings VARCHAR DEFAULT 'talk';
COMMENT ON COLUMN polls.brings IS 'what the stream is for: talk, news, ranks, prices. Only talk is listened to';
COMMENT ON COLUMN polls.added IS 'items that were new: messages, headlines, ranks, bars';
COMMENT ON COLUMN polls.updated IS 'messages whose text was replaced or that were deleted, headlines that name further symbols, bars that were corrected';
COMMENT ON COLUMN streams.last_message_at IS 'created_at of the newest message or headline it brought, UTC';
