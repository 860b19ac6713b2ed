-- DuckDB reuses blocks and does not wipe them: what was taken away stays readable in the bytes of the file until it is rewritten.

CREATE TABLE remains (reason VARCHAR NOT NULL);
COMMENT ON TABLE remains IS 'empty, or one row: words or people were taken away since the file was last rewritten, so that its unused bytes may still hold them';
COMMENT ON COLUMN remains.reason IS 'why they were taken away first: deletion, retention, author key';
-- files from before this was kept: whoever was deleted in them may still be readable
INSERT INTO remains SELECT 'deletion' WHERE EXISTS (FROM tombstones);
