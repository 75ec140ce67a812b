#!/usr/bin/python3
"""P5, ordered: timelines are newest first, pages are stable while posts arrive and go, and a page shorter than the
limit means the end: within the materialised list, past its end in SQL, and at the timeline's end of 800 entries."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from people import GatewayProcess, Person, first_gateway, graph, posts  # noqa: E402
from tap import PATIENCE_S, check, done_testing, eventually  # noqa: E402

HOME_LENGTH = 800
# Enough for the list to be trimmed (at 1000 elements, to 850).
WRITTEN = 1060
IN_FLIGHT = 64


def write_many(people, n):
    """Ids of n posts, by turns, oldest first."""
    out, flying = [], []
    for i in range(n):
        author = people[i % len(people)]
        request = posts.CreatePostRequest(text=f"post {i}")
        flying.append(author.gateway.posts.CreatePost.future(request, **author.me))
        if len(flying) == IN_FLIGHT:
            out += [call.result().post.id for call in flying]
            flying = []
    out += [call.result().post.id for call in flying]
    return sorted(out)


def pages(read, size, between=lambda n: None):
    """(ids of all pages, what was wrong with their lengths). read(size, token) -> (ids, next token); between is
    called with the number of ids so far, between two pages."""
    ids, token, wrong = [], "", []
    while True:
        page, token = read(size, token)
        ids += page
        if len(page) > size or len(page) < size and token:
            wrong.append(f"a page of {len(page)} for {size}, after {len(ids) - len(page)}, that is not the last")
        if not token or len(ids) > 2 * HOME_LENGTH:
            return ids, wrong
        between(len(ids))


def home_of(viewer, gateways):
    """Reads pages at the gateways by turns."""
    turn = iter(range(10**9))

    def read(size, token):
        reply = viewer.home(size, token, gateways[next(turn) % len(gateways)])
        return [item.id for item in reply.items], reply.next_page_token
    return read


def check_pages(name, read, size, expected, between=lambda n: None):
    ids, wrong = pages(read, size, between)
    if ids != expected:
        missing, extra = sorted(set(expected) - set(ids)), sorted(set(ids) - set(expected))
        wrong.append(f"{len(ids)} entries, not {len(expected)}; missing {missing[:3]} of {len(missing)}, "
                     f"too many {extra[:3]} of {len(extra)}")
    check(name, not wrong, "\n".join(wrong[:5]))


def home_timeline(gateways):
    viewer = Person("viewer")
    authors = [Person("author") for _ in range(3)]
    for author in authors:
        viewer.follow(author)
    viewer.home_ids()  # from here on deliveries land in a list
    written = write_many(authors, WRITTEN)
    by_id = {}
    newest = lambda: [i for i in reversed(written)][:HOME_LENGTH]
    check("all posts arrive", all(eventually(lambda g=g: viewer.home_ids(g) == newest()[:100]) for g in gateways))
    for size in (100, 37, 7):
        check_pages(f"newest first, full pages of {size}, to the end of {HOME_LENGTH}", home_of(viewer, gateways), size,
                    newest())

    # Who wrote which is known by turns, but ids of calls in flight are not in the order of the calls.
    for author in authors:
        ids, _ = pages(lambda size, token, a=author: user_page(viewer, a, size, token), 100)
        by_id.update((i, author) for i in ids)

    def remove(ids):
        for post_id in ids:
            by_id[post_id].delete(post_id, gateways[post_id % 2])
            written.remove(post_id)

    # 75 of the newest go, so that less than 800 of the list's 850 may be shown: the rest comes from SQL.
    remove(newest()[10:160:2])
    check("deleted posts are gone from both gateways", all(eventually(
        lambda g=g: viewer.home_ids(g) == newest()[:100]) for g in gateways))
    for size in (100, 33):
        check_pages(f"pages of {size} go on from the list into SQL without a seam", home_of(viewer, gateways), size,
                    newest())

    arrived = []
    check_pages("pages are stable while posts arrive", home_of(viewer, gateways), 45, newest(),
                lambda n: arrived.append(authors[n % 3].post("arrives", gateways[n % 2]).id))
    written.extend(arrived)
    written.sort()  # two gateways made them: their clocks differ by some ms

    check("the posts that arrived are there", all(eventually(
        lambda g=g: viewer.home_ids(g) == newest()[:100]) for g in gateways))
    going, gone = newest()[60::97], []
    expected = [i for i in newest()]

    # Each goes when it was shown, or when it is still to come: pages stay full, and no other entry is touched.
    def one_goes(shown_so_far):
        if not going:
            return
        post_id = going.pop(0)
        remove([post_id])
        gone.append((post_id, expected.index(post_id) < shown_so_far))
        eventually(lambda: all(viewer_lost(viewer, post_id, g) for g in gateways))

    ids, wrong = pages(home_of(viewer, gateways), 50, one_goes)
    unseen = {post_id for post_id, was_shown in gone if not was_shown}
    kept = [i for i in expected if i not in unseen]
    # What went before it was shown makes room at the end for older ones, up to 800 in all.
    older = [i for i in reversed(sorted(written)) if i < expected[-1]]
    if ids != (kept + older)[:HOME_LENGTH]:
        wrong.append(f"{len(ids)} entries; unexpected {sorted(set(ids) - set(kept) - set(older))[:5]}, "
                     f"missing {sorted(set(kept) - set(ids))[:5]}")
    check("pages stay full and in order while posts are deleted between them", not wrong and len(gone) > 5,
          "\n".join(wrong[:5]))


def viewer_lost(viewer, post_id, gateway):
    try:
        viewer.get(post_id, gateway)
        return False
    except Exception:  # NOT_FOUND
        return True


def user_page(viewer, author, size, token, gateway=None):
    reply = viewer.timeline_of(author, size, token, gateway)
    return [item.id for item in reply.items], reply.next_page_token


def other_lists(gateways):
    author, reader = Person("author"), Person("reader")
    written = write_many([author], 60)
    expected = written[::-1]
    turn = iter(range(10**9))

    def of_author(size, token):
        return user_page(reader, author, size, token, gateways[next(turn) % 2])
    check_pages("an author's timeline is newest first, in full pages", of_author, 20, expected)
    check_pages("and stable while posts arrive", of_author, 7, expected, lambda n: author.post(f"arrives at {n}"))

    parent = author.post("a question").id
    replies = [reader.post(f"answer {i}", reply_to_id=parent).id for i in range(23)]

    def of_replies(size, token):
        request = posts.ListRepliesRequest(post_id=parent, page_size=size, page_token=token)
        reply = gateways[next(turn) % 2].posts.ListReplies(request, **reader.me)
        return [post.id for post in reply.posts], reply.next_page_token
    check_pages("replies are oldest first, in full pages", of_replies, 5, replies)

    fans = [Person("fan") for _ in range(7)]
    for fan in fans:
        fan.follow(author)

    def of_followers(size, token):
        request = graph.ListFollowersRequest(account_id=author.id, page_size=size, page_token=token)
        reply = gateways[next(turn) % 2].relations.ListFollowers(request, metadata=reader.me["metadata"],
                                                                 timeout=PATIENCE_S)
        return [account.id for account in reply.accounts], reply.next_page_token
    check_pages("followers are newest first, in full pages", of_followers, 3, [fan.id for fan in reversed(fans)],
                lambda n: Person("late").follow(author))


def main():
    second = GatewayProcess()
    gateways = [first_gateway(), second.gateway]
    try:
        home_timeline(gateways)
        other_lists(gateways)
    finally:
        second.stop()
    done_testing()


main()
