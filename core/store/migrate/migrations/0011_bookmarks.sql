-- Posts that accounts have marked for themselves. id: of the bookmark, in the order of which they are listed.
CREATE TABLE bookmarks (
    account_id bigint NOT NULL,
    post_id bigint NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (account_id, post_id)
);
CREATE INDEX bookmarks_account ON bookmarks (account_id, id);
