-- The address of a Mastodon status holds the name of its author, and so did its id: what stays of a message keeps no name.

CREATE TEMP MACRO nameless(id) AS regexp_replace(id, '^(https?://[^/?#]+)/(?:ap/)?users/[^/?#]+(/statuses/)', '\1\2');
UPDATE messages SET id = nameless(id), reply_to = nameless(reply_to), reshare_of = nameless(reshare_of) WHERE source = 'mastodon';
UPDATE mentions SET message_id = nameless(message_id), reshare_of = nameless(reshare_of) WHERE source = 'mastodon';
UPDATE tones SET message_id = nameless(message_id) WHERE source = 'mastodon';
UPDATE ballots SET message_id = nameless(message_id) WHERE source = 'mastodon';
UPDATE tombstones SET id = nameless(id) WHERE source = 'mastodon';
UPDATE rechecks SET place_id = nameless(place_id) WHERE source = 'mastodon';
UPDATE spikes SET top_message_id = nameless(top_message_id) WHERE top_message_id LIKE 'http%';
DROP MACRO nameless;
-- the names stand in unused bytes until the file is rewritten
INSERT INTO remains SELECT 'author key' WHERE EXISTS (FROM messages WHERE source = 'mastodon') AND NOT EXISTS (FROM remains);
