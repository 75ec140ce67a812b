/* Announces a new entry, after its commit (P6: its author sees it immediately, through every gateway).
 *
 * Happy path: in one round trip, the entry is appended to its author's own home timeline, and its event is published.
 * Meanwhile SQL is asked which epoch is the newest. If it is the epoch in which the event was published, and every
 * process knows it, the entry is acknowledged (epoch.h: lists of a later epoch are built with it).
 * Failures:
 *   - Redis is not reached, or another one is in use by now. Then the relay publishes the event (which appends to the
 *     author's timeline as well), and the acknowledgement waits for that, since other gateways may have a Redis: the
 *     outbox row in SQL shows it. If the newest epoch was abandoned (epoch.h), no process has a Redis, and every
 *     gateway reads from SQL, where the entry is. The entry is acknowledged in that case too.
 *   - the newest epoch is so young that some process may read in the one before: the acknowledgement waits (2 s at
 *     most).
 *   - neither happens within ANNOUNCE_LIMIT_MS: UNAVAILABLE. The entry exists nevertheless, and a retry with the same
 *     key finds it.
 * tests/models/epochs.pml has such a post in it.
 */
#include <assert.h>

#include "core/base/clock.h"
#include "core/domain/post/announce.sql.h"
#include "core/domain/post/post_internal.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"

#define ANNOUNCE_LIMIT_MS 8000
#define PAUSE_MS 200

/* The event NULL: none. */
static int announce_once(struct fiber *self, struct domain *d, const struct event_record *event,
                         int64_t author_id, int64_t entry_id) {
    char key[KEY_MAX];
    int64_t epoch = epoch_now(d);
    if (epoch == 0) return ERR_UNAVAILABLE;
    uint64_t question = epoch_ask(d);
    struct redis_batch *b = redis_batch_borrow(d->redis);
    outbox_add_own_delivery(b, key_timeline(key, epoch, author_id), entry_id);
    int e = event ? outbox_publish_in(self, d, b, epoch, event, 1) : epoch_send(self, d, b, epoch);
    return e == 0 ? epoch_confirm(self, d, question, epoch) : e;
}

static bool is_visible(struct fiber *self, struct domain *d, int64_t entry_id) {
    struct pg_result *r;
    if (pg_ask(self, d->pg, &POST_IS_VISIBLE, &r, NULL, pg_i64(entry_id)) != 0) return false;
    return pg_only_bool(r) && epoch_wait_known(self, d) == 0;
}

int post_announce(struct fiber *self, struct domain *d, const struct event_record *event, int64_t author_id,
                  int64_t entry_id, struct fault *fault) {
    assert(author_id != 0 && entry_id != 0 && (!event || event->id == entry_id));
    int64_t give_up = clock_mono_ns() + ANNOUNCE_LIMIT_MS * NS_PER_MS;
    for (unsigned attempt = 0;; attempt++) {
        if (announce_once(self, d, event, author_id, entry_id) == 0) return 0;
        if (is_visible(self, d, entry_id)) return 0;
        if (clock_mono_ns() > give_up || fiber_sleep_ms(self, attempt == 0 ? PAUSE_MS / 8 : PAUSE_MS) != 0)
            return fault_set(fault, ERR_UNAVAILABLE,
                             "the post is stored but not yet visible everywhere: try again with the same "
                             "idempotency_key");
    }
}
