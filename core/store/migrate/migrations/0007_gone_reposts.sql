-- Reposts that were taken back: found by who takes them back again, because the first time was committed and not heard of.
CREATE INDEX posts_gone_reposts ON posts (author_id, repost_of_id, id) WHERE repost_of_id IS NOT NULL AND deleted;
