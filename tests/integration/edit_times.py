#!/usr/bin/python3
"""The time of an edit never runs backwards: it is read when the post is locked, not when the edit begins to wait for it. Prints
TAP. Starts servers and daemons of its own."""
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402


class Session:
    """A transaction by hand, statement by statement."""

    def __init__(self, stack):
        psql = stack.sh('echo "$POSTGRES_BIN/psql"')
        self.process = subprocess.Popen([psql, "-X", "-q", "-A", "-t", "-d", stack.database_url], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, statement):
        self.process.stdin.write(statement + ";\nSELECT 'done';\n")
        self.process.stdin.flush()
        while self.process.stdout.readline().strip() != "done":
            pass

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def times(person, post):
    """Of all edits, the oldest first; and of the post as it is."""
    edits = person.call("PostService/ListEdits", postId=post, pageSize=100)["edits"]
    now = person.call("PostService/GetPost", postId=post)["post"]
    return [edit["editTime"] for edit in edits[::-1]], now["editTime"], now["createTime"]


def waiting(stack):
    return stack.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") != "0"


def behind_another(stack, ada):
    post = ada.post("version 0")
    session = Session(stack)
    session.run(f"BEGIN; SELECT FROM posts WHERE id = {post} FOR UPDATE")
    edit = threading.Thread(target=lambda: ada.call("PostService/EditPost", postId=post, text="version 2"))
    edit.start()
    check("an edit waits for the post", eventually(lambda: waiting(stack)))
    session.run(f"""
        INSERT INTO post_edits (post_id, edit, text, edited_at) SELECT id, 0, text, clock_timestamp() FROM posts WHERE id = {post};
        UPDATE posts SET text = 'version 1', edit_count = 1, edited_at = clock_timestamp() WHERE id = {post}; COMMIT""")
    session.close()
    edit.join()
    kept, last, _ = times(ada, post)
    check("the edit that waited has the later time", len(kept) == 2 and kept == sorted(kept) and kept[-1] == last, (kept, last))


def before_the_clock(stack, ada):
    """Another clock made the post's id, and maybe the last edit's time."""
    post = ada.post("version 0")
    ada.call("PostService/EditPost", postId=post, text="version 1")
    stack.sql(f"UPDATE posts SET edited_at = edited_at + interval '1 hour' WHERE id = {post}")
    stack.sql(f"UPDATE post_edits SET edited_at = edited_at + interval '1 hour' WHERE post_id = {post}")
    ada.call("PostService/EditPost", postId=post, text="version 2")
    kept, last, made = times(ada, post)
    check("a clock that went back makes no edit earlier", kept == sorted(kept) and made <= kept[0] and kept[-1] == last, (kept, last))


def at_once(ada):
    post = ada.post("raced")
    threads = [threading.Thread(target=lambda n=n: [ada.call("PostService/EditPost", postId=post, text=f"{n} {i}") for i in range(5)])
               for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept, last, made = times(ada, post)
    check("twelve at once leave a history in order", len(kept) == 60 and kept == sorted(kept) and made <= kept[0] and kept[-1] == last,
          kept)


with Stack() as stack:
    stack.gateway()
    ada = stack.person("ada")
    behind_another(stack, ada)
    before_the_clock(stack, ada)
    at_once(ada)
done_testing()
