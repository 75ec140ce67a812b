/* The hub: reads every event stream for a gateway (without a consumer group, so every gateway hears everything).
 *
 * It does not know its listeners: caches, which an event invalidates immediately, and live feeds register themselves.
 *
 * Happy path, one fiber per partition on a connection of its own:
 *   1. XREAD BLOCK 200 from the place (stream.h) up to which it has heard. Each entry moves the place: its id, and
 *      one more in the count.
 *   2. The listeners whose interest it is hear it, in the order in which they registered. What is of interest to none
 *      of them is not decoded.
 *   3. Once a second, and always after a pause, the same batch asks for the stream's end before it reads: a *look*.
 *   4. When the read returned less than it could hold, everything published before it was sent has been heard: the
 *      partition is confirmed as of that time. hub_fresh() is true while every partition was confirmed less than 700
 *      ms ago. So a cache guarded by the hub lags at most 700 ms behind what was acknowledged (P3 allows 1 s);
 *      usually only by the time that an event takes to arrive, about 1 ms.
 * Failures:
 *   - the connection is lost, Redis is unreachable, the epoch (core/event/epoch.h) is not known, or the connection is
 *     to another server process than the gateway's shared one: nothing is confirmed, hub_fresh() turns false, caches
 *     are bypassed. It does not matter how long that lasts: reading continues where it stopped.
 *   - the server or the epoch is another one, or a look finds that entries are missing: the hub starts over. Every
 *     listener forgets what it knows (live streams tell their clients to read again), and reading starts at the
 *     stream's end.
 *
 * Lemma (nothing is missed unnoticed). Let the place be (L, C), with C the number of entries ever added up to L; a
 * look says that A entries were added up to G, the newest id at that time. Ids ascend, and a read returns the entries
 * that are there above L, in order. When everything that is there up to G has been heard, C has grown by the entries
 * heard. A - C is therefore the number of entries that were added up to G and never heard: trimmed or deleted before
 * they could be read. If it is 0, none is missing, and the place is exact again. Otherwise, or when G < L (the stream
 * was deleted), the hub starts over. No clock takes part; it does not matter which process removed the entries, nor
 * how long this one was stopped. (The count fails to show a loss in one case only: the stream was deleted and created
 * again while nobody listened, and has since lost exactly as many entries as had been read before.) The outcome of a
 * look is known when the read that was sent with it is done or, if that read was full, one of the next. A new look
 * that is due before that replaces the earlier one: what the earlier look could have found missing, the new one finds
 * missing too.
 *
 * Lemma (freshness). While hub_fresh(), every change that was acknowledged 700 ms ago or longer has been heard. A
 * change is acknowledged after its event was put on its stream, in an epoch that was then the newest. Each partition
 * was confirmed by a read sent at s, less than 700 ms ago, on the server process and in the epoch that the gateway
 * still knows. Of the entries published before s, that read or an earlier one returned all that were still there;
 * none that was published before the last look with a known outcome was missing. That look was sent less than a
 * second before s: so an entry that could be missing was removed within two seconds of its being added. Assumption:
 * nothing removes entries that are that young. (Trimming keeps 60 s by Redis's own clock, from which ids are made as
 * well.) If the assumption is broken, by hand, by eviction or by a step of that clock, the next look finds out:
 * within about a second. All times are the monotonic clock's, read at the moment of use: a process that was stopped
 * does not rely on what it knew before. A second assumption: what is acknowledged in an epoch is acknowledged when no
 * process uses the one before it any more (core/event/epoch.h: not while it is younger than LOOK_WITHIN_MS).
 * tests/models/hub.pml is the model of this file.
 *
 * If an event is lost in spite of all this, the harm is bounded: each cache limits the age of what it keeps
 * (gateway/cache/post.h, gateway/cache/account.h, gateway/cache/session.h, gateway/home/pulled.h).
 */
#ifndef ROOKERY_GATEWAY_HUB_HUB_H
#define ROOKERY_GATEWAY_HUB_HUB_H

#include "core/base/list.h"
#include "core/domain/domain.h"
#include "gateway/hub/stream.h"

/* A listener. None of the functions may suspend; each may be NULL. It is registered permanently, before hub_start. */
struct hub_listener {
    struct list_node node; /* the hub's */
    void *context;
    /* Of core/event/events.h: the events that it hears, among them such of a kind that this program does not know. */
    uint32_t interests;
    /* It counts entries: it hears of the others, too, without their event. Else there always is one. */
    bool every_entry;
    /* Called in the order of a partition. */
    void (*heard)(void *context, const struct hub_heard *heard);
    /* After a gap: everything that was known from events, or cached under their guard, may be wrong. */
    void (*forget)(void *context);
    /* Hearing begins, or begins again, at this place of a partition; forget comes next. */
    void (*begin)(void *context, int partition, const struct hub_place *place);
    /* The same, called before hearing begins, with those of the newest `memory` entries of a partition up to where it
     * begins, older ones first. */
    void (*remember)(void *context, const struct hub_heard *heard);
    int64_t memory;
};

struct hub *hub_new(struct domain *d); /* NULL on allocation failure */
void hub_listen(struct hub *h, struct hub_listener *listener);
void hub_start(struct hub *h);
/* Stops hearing. hub_fresh() is false from then on. */
void hub_stop(struct fiber *self, struct hub *h);
void hub_free(struct hub *h); /* NULL is fine */
/* Returns true while caches that the hub guards may be used. Cheap: it reads the clock. */
bool hub_fresh(const struct hub *h);
/* Tells every listener to forget. */
void hub_forget(struct hub *h);

#endif
