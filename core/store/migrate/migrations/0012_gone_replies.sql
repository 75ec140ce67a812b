-- Replies that were deleted: a thread shows a place holder for those that something stands below.
CREATE INDEX posts_gone_replies ON posts (reply_to_id, id) WHERE reply_to_id IS NOT NULL AND deleted;
