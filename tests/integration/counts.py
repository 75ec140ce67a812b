#!/usr/bin/python3
"""Counts are exact however often events come: also when a batch holds the same event twice, as it does when the relay
publishes what a gateway has published already, or publishes again because Redis went away while it did."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402


def publish_again(stack):
    """Puts every event on its stream once more, as it is; returns how many there were."""
    script = """
        local entries = redis.call('XRANGE', KEYS[1], '-', '+')
        for _, entry in ipairs(entries) do redis.call('XADD', KEYS[1], '*', unpack(entry[2])) end
        return #entries"""
    return sum(stack.redis("EVAL", script, 1, key) for key in stack.redis("KEYS", "events:*"))


def account(person, other):
    seen = person.call("AccountService/GetAccount", id=other.id)["account"]
    return [int(seen.get(name, 0)) for name in ("followerCount", "followingCount", "postCount")]


def main():
    with Stack() as stack:
        stack.gateway()
        ada, bob = stack.person("ada"), stack.person("bob")
        bob.follow(ada)
        post = ada.post("counted")
        gone = ada.post("not counted")
        reply = bob.post("an answer", replyToId=post)
        bob.call("PostService/Like", postId=post)
        bob.call("PostService/Repost", postId=post)
        ada.call("PostService/DeletePost", postId=gone)
        lost = ada.post("lost with a database that went back")
        stack.sql(f"DELETE FROM outbox WHERE id = {lost}; DELETE FROM posts WHERE id = {lost}")
        check("every event is on its stream twice", publish_again(stack) >= 8)
        stack.worker("worker-1")

        def counts():
            seen = bob.call("PostService/GetPost", postId=post)["post"]
            return [int(seen.get(name, 0)) for name in ("likeCount", "repostCount", "replyCount")]
        check("likes, reposts and replies of a post are counted once", eventually(lambda: counts() == [1, 1, 1]),
              counts())
        check("so are followers and posts, without one that the database has lost", eventually(lambda: account(bob, ada) == [1, 0, 1]), account(bob, ada))
        check("and followed ones", eventually(lambda: account(ada, bob) == [0, 1, 1]), account(ada, bob))
        bob.call("PostService/DeletePost", postId=reply)
        publish_again(stack)
        check("what is undone is counted once, too", eventually(lambda: counts() == [1, 1, 0]), counts())
        check("whatever came before it", eventually(lambda: account(bob, ada) == [1, 0, 1]), account(bob, ada))
    done_testing()


main()
