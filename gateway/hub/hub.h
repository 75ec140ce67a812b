/* The hub: a gateway's ear on every event stream (without a consumer group, so every gateway hears
 * everything).
 *
 * It knows nobody who listens: caches, which an event invalidates at once, and live feeds register themselves.
 *
 * Happy path, one fiber per partition on a connection of its own:
 *   1. XREAD BLOCK 200 from the place (stream.h) up to which it has heard. Each entry moves the place: its id, and
 *      one more in the count.
 *   2. Each listener hears it, in the order in which they registered.
 *   3. Once a second, and first of all after a pause, the same batch asks for the stream's end before it reads: a *look*.
 *   4. When the read came back with less than it could hold, everything published before it was sent has been
 *      heard: the partition is confirmed as of that time. hub_fresh() is true while every partition was
 *      confirmed less than 700 ms ago. So what a cache guarded by the hub shows is at most 700 ms older than
 *      what was acknowledged (P3 allows 1 s), and usually as old as the event is on its way: about 1 ms.
 * Failures:
 *   - the connection is lost, Redis is away, the epoch (core/event/epoch.h) is not known, or the connection is to
 *     another server process than the gateway's shared one: nothing is confirmed, hub_fresh() turns false, caches are
 *     bypassed. How long that lasts does not matter: reading goes on where it stopped.
 *   - the server or the epoch is another one, or a look finds that entries are missing: the hub starts over.
 *     every listener forgets what it knows (live streams are told to read again), reading starts at the stream's end.
 *
 * Lemma (nothing is missed unnoticed). Let the place be (L, C), with C the number of entries ever added up to L; a look says
 * that A entries were added up to G, the newest id at that time. Ids ascend, and a read returns what is there above L, in
 * order. When everything that is there up to G has been heard, C has grown by the entries heard; A - C is therefore the
 * number of entries that were added up to G and never heard: trimmed or deleted before they could be read. If it is 0
 * none is missing, and the place is exact again. Otherwise, or when G < L (the stream was deleted), the hub starts over. No clock
 * takes part, whoever removed the entries, and however long the process was stopped. (The count says nothing only when the
 * stream was deleted and made anew while nobody listened, and has since lost just as many entries as had been read before.)
 * A look's answer is known as soon as that read is done that was sent with it, or one of the next if that was full. One that
 * is due before that replaces it: what the earlier look could have found missing, it finds missing too.
 *
 * Lemma (freshness). While hub_fresh(), every change that was acknowledged 700 ms ago or longer has been heard. A change is
 * acknowledged after its event was put on its stream, in an epoch that was then the newest. Each partition was confirmed by
 * a read sent at s, less than 700 ms ago, on the server process and in the epoch that the gateway still knows. Of what was
 * published before s, that read or an earlier one returned all that was still there; what was published before the last
 * look that was proved was not missing. That look was sent less than a second before s: so what could be missing was removed
 * within two seconds of its being added. Assumed: nothing removes entries that are that young. (Trimming keeps 60 s by Redis's
 * own clock, by which ids are made as well.) Should it be broken, by hand, by eviction or by a step of that clock, the
 * next look finds it out: within about a second. All times are the monotonic clock's, asked at the moment of use: a
 * process that was stopped does not believe what it knew before.
 * Assumed too: an epoch that is not the newest any more is unknown within half a second (core/event/epoch.h).
 * tests/models/hub.pml stands for this file.
 *
 * What a lost event costs even so: each cache bounds the age of what it keeps (gateway/cache/post.h, gateway/cache/account.h, auth.h, pulled.h).
 */
#ifndef ROOKERY_GATEWAY_HUB_HUB_H
#define ROOKERY_GATEWAY_HUB_HUB_H

#include "core/base/list.h"
#include "core/domain/domain.h"
#include "gateway/hub/stream.h"

/* What hears. None of the functions may suspend; each may be NULL. Registered for good, before hub_start. */
struct hub_listener {
    struct list_node node; /* the hub's */
    void *context;
    /* Every entry, in the order of its partition. */
    void (*heard)(void *context, const struct hub_heard *heard);
    /* A gap may have made everything wrong that was known from events or read under their guard. */
    void (*forget)(void *context);
    /* Hearing begins, or begins again, at this place of a partition; forget comes next. */
    void (*begin)(void *context, int partition, const struct hub_place *place);
    /* Before hearing begins: the newest entries of a partition up to where it begins, older ones first; `memory` of them. */
    void (*remember)(void *context, const struct hub_heard *heard);
    int64_t memory;
};

struct hub *hub_new(struct domain *d); /* NULL on allocation failure */
void hub_listen(struct hub *h, struct hub_listener *listener);
void hub_start(struct hub *h);
/* Hears no more; nothing is fresh from then on. */
void hub_stop(struct fiber *self, struct hub *h);
void hub_free(struct hub *h); /* NULL is fine */
/* May what the hub guards be believed? Cheap: a look at the clock. */
bool hub_fresh(const struct hub *h);
/* Has every listener forget. */
void hub_forget(struct hub *h);

#endif
