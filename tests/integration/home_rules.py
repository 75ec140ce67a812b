#!/usr/bin/python3
"""Every rule of the home timeline, as timeline.proto has them: read from the list, live, and again after the list is rebuilt.
Prints TAP. Runs against the shared stack."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from callers import connect, Feed, People  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

people = People(connect())
me, friend, other, stranger, muted, blocked, blocker = people.named("me", "friend", "other", "stranger", "muted", "blocked", "blocker")
everybody = (friend, other, muted, blocked, blocker)
roots = {who: who.post("a root") for who in (me, *everybody, stranger)}
for who in everybody:
    me.follow(who)
friend.follow(stranger)
me.mute(muted)
me.block(blocked)
blocker.block(me)

feed = Feed(me)
# What is done, and whether it is shown.
table = [
    ("a post of a friend", friend.post("a post"), True),
    ("one's own post", me.post("mine"), True),
    ("a stranger's post", stranger.post("hers"), False),
    ("a stranger's post that mentions one", stranger.post(f"for @{me.handle}"), False),
    ("a muted account's post", muted.post("muted"), False),
    ("a blocked account's post", blocked.post("blocked"), False),
    ("a blocker's post", blocker.post("blocker"), False),
    ("a friend's reply to another friend", friend.reply(roots[other], "re"), True),
    ("a friend's reply to oneself", friend.reply(roots[me], "re"), True),
    ("a friend's reply to themselves", friend.reply(roots[friend], "re"), True),
    ("a friend's reply to a stranger", friend.reply(roots[stranger], "re"), False),
    ("a friend's reply to a muted account", friend.reply(roots[muted], "re"), False),
    ("a friend's reply to a blocked account", friend.reply(roots[blocked], "re"), False),
    ("a friend's reply to a blocker", friend.reply(roots[blocker], "re"), False),
    ("one's own reply to a stranger", me.reply(roots[stranger], "re"), True),
    ("one's own reply to a muted account", me.reply(roots[muted], "re"), True),
    ("a stranger's reply to oneself", stranger.reply(roots[me], "re"), False),
]
hers = stranger.reply(roots[stranger], "a stranger to herself")
below = friend.reply(hers, "a friend to her, below")
table += [
    ("a friend's reply to a stranger's reply in a friend's thread", friend.reply(stranger.reply(roots[friend], "she"), "he"), False),
    ("a friend's reply to a friend in a stranger's thread", other.reply(below, "re"), True),
]
reposts = [
    ("a friend's repost of a stranger", friend.repost(roots[stranger]), True),
    ("a friend's repost of oneself", friend.repost(roots[me]), True),
    ("a friend's repost of another friend", friend.repost(roots[other]), True),
    ("a repost of the same by another", other.repost(roots[stranger]), True),
    ("a friend's repost of a reply between strangers", friend.repost(hers), True),
    ("a friend's repost of a muted account", friend.repost(roots[muted]), False),
    ("a friend's repost of a blocked account", friend.repost(roots[blocked]), False),
    ("a friend's repost of a blocker", friend.repost(roots[blocker]), False),
    ("one's own repost", me.repost(roots[stranger]), True),
    ("one's own repost of a muted account", me.repost(roots[muted]), False),
    ("a stranger's repost of oneself", stranger.repost(roots[me]), False),
    ("a muted account's repost of a friend", muted.repost(roots[friend]), False),
]
rules = [(name, post.id, shown) for name, post, shown in table] + reposts
last = friend.post("the last of all")
first = {entry for _, entry, _ in rules}


def seen():
    return [entry for entry in me.home_ids() if entry in first]


wanted = sorted((entry for _, entry, shown in rules if shown), reverse=True)
check("everything that belongs on it arrives", eventually(lambda: set(wanted) <= set(seen())), seen())
for round_name, prepare in (("", None), (", from a list that was built again", lambda: (me.unmute(muted), me.mute(muted)))):
    if prepare:
        prepare()
    shown_now = set(seen())
    for name, entry, shown in rules:
        check(f"{name} is {'shown' if shown else 'not shown'}{round_name}", (entry in shown_now) == shown)
check("newest first, none twice", seen() == wanted, (seen(), wanted))

live = []
feed.wait("item", lambda message: live.append(message.item.id) or message.item.id == last.id)
check("live is the same", sorted((entry for entry in live if entry in first), reverse=True) == wanted, (live, wanted))
feed.close()

gone = stranger.post("to be deleted")
repost = friend.repost(gone)
check("a repost arrives", eventually(lambda: repost in me.home_ids()))
stranger.delete(gone)
check("a repost goes with its original", repost not in me.home_ids())
me.follow(stranger)
check("following shows what was before", roots[stranger].id in me.home_ids() and hers.id in me.home_ids())
me.unfollow(stranger)
check("unfollowing takes it away; what others reposted stays", roots[stranger].id not in me.home_ids() and
      {entry for name, entry, _ in reposts[:1]} <= set(me.home_ids()))
me.unblock(blocked)
check("unblocking brings back no follow", not me.standing(blocked).followed_by_viewer)
check("but reposts", reposts[6][1] in me.home_ids())
done_testing()
