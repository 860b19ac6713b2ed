-- Passes over what is stored, asking sources that delete without a word whether it is still there.

CREATE TABLE rechecks (
    source VARCHAR NOT NULL, began_at TIMESTAMP NOT NULL, place_at TIMESTAMP, place_id VARCHAR, asked BIGINT NOT NULL,
    gone BIGINT NOT NULL, requests BIGINT NOT NULL, failures INTEGER NOT NULL, last_at TIMESTAMP, next_at TIMESTAMP,
    ended_at TIMESTAMP, error VARCHAR, PRIMARY KEY (source, began_at));
COMMENT ON TABLE rechecks IS 'passes over the stored messages of a source, oldest first, asking whether they are still there; each attempt is a row of polls (stream recheck)';
COMMENT ON COLUMN rechecks.source IS 'service';
COMMENT ON COLUMN rechecks.began_at IS 'when the pass began, UTC: messages that were first known before it are asked about';
COMMENT ON COLUMN rechecks.place_at IS 'created_at of the last message behind it, UTC; NULL at its beginning';
COMMENT ON COLUMN rechecks.place_id IS 'native id of that message';
COMMENT ON COLUMN rechecks.asked IS 'messages that were answered for';
COMMENT ON COLUMN rechecks.gone IS 'messages of these that the source has said to be gone: they are deleted';
COMMENT ON COLUMN rechecks.requests IS 'requests that it took';
COMMENT ON COLUMN rechecks.failures IS 'failed attempts in a row';
COMMENT ON COLUMN rechecks.last_at IS 'end of the last attempt, UTC';
COMMENT ON COLUMN rechecks.next_at IS 'not asked before this time, UTC; NULL for at once';
COMMENT ON COLUMN rechecks.ended_at IS 'when all had been asked about, UTC; NULL while it goes on';
COMMENT ON COLUMN rechecks.error IS 'what was wrong with the last attempt, in a sentence; NULL when it was good';

COMMENT ON COLUMN polls.brings IS 'what the stream is for: talk, news, ranks, prices; recheck: nothing new was looked for. Only talk is listened to';
