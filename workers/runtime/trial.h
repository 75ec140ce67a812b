/* Trials: find the entry that makes workers die.
 *
 * An entry that kills every worker that handles it must become a dead letter. An entry that workers merely held when
 * they died must not. No process survives to say which it was; the only evidence is the number of deliveries that
 * Redis keeps with a pending entry.
 *
 * Words. A *suspect* is an entry that has been delivered SUSPECT_DELIVERIES times and is still pending. It is
 * reclaimed alone, and its processing by a lane is its *trial*. To *excuse* it is to subtract this delivery from its
 * number again. It is *convicted* when its number is greater than ROOKERY_MAX_DELIVERIES (and than
 * SUSPECT_DELIVERIES): it becomes a dead letter, untried.
 *
 * A trial:
 *   1. The lane asks for the process's turn (trial_open). It gets the turn when the process has lived for a second
 *      and no other suspect has it. Only then it reclaims its suspect with the fewest deliveries, which adds one to
 *      that suspect's number.
 *   2. An advocate, a fiber of its own, looks at the lane every 100 ms. When it has found the lane in the same wait
 *      at two looks, and the lane is not waiting for its computation in the thread pool, the advocate excuses the
 *      suspect and gives the turn back.
 *   3. When that wait is over, the lane adds one again before its role goes on, and waits until Redis has done so.
 *   4. The suspect is settled and acknowledged, or the worker dies and the number stays as it is.
 *
 * Lemma 1: a death during a wait of more than 200 ms (two looks) does not count. By 2 its delivery has been taken
 * off, and by 3 it is added again only after the wait. When PostgreSQL delays a role for hours, while its workers are
 * killed over and over, nothing is added. Lemma 2: a death while the suspect is computed counts. Computing is outside
 * of waits or in the thread pool; either way the last command that Redis executed of the trial is 1's or 3's. Lemma
 * 3: the death that a suspect causes does not count for another suspect, in any lane of the process: until the one is
 * settled or excused, the others are not reclaimed. (One that was excused may continue while another has the turn.
 * Then both count one; their next trials are one after the other again.) The cause may be an entry that is not a
 * suspect yet; it is one after SUSPECT_DELIVERIES deaths. Lemma 4: a convicted entry was delivered before another
 * that has been settled (trial_has_evidence). So its role, its partition and what these need have worked since it
 * came; the trouble was not a general one. Without that evidence it is tried again, alone. Together: a convicted
 * entry has had more than ROOKERY_MAX_DELIVERIES - SUSPECT_DELIVERIES trials that ended in a death within 200 ms of
 * the beginning of a wait, or while it was computed, and others were settled meanwhile. (Of the role: entries that it
 * skips are acknowledged without what it needs, and prove nothing. Dead letters count as settled.)
 *
 * A loop of crashes that has nothing to do with entries kills each process within its first second: no suspect is
 * reclaimed at all, and nothing counts.
 *
 * What remains. If something from outside kills workers again and again in the first 200 ms of a wait, or while an
 * entry that takes long is computed, an innocent entry becomes a dead letter; it can be replayed. An entry that kills
 * while its lane waits (for example by the memory that an answer takes) is never convicted; each of its trials is in
 * the log. Deaths at such bad moments count also while nothing later is settled, and they stay counted: if an entry
 * had many of them, and after the trouble a later entry is settled first, the entry is convicted untried. Some events
 * that only look like a death also count: a claim of 1 whose reply is lost, and a worker that cannot reach Redis for
 * ROOKERY_RECLAIM_MS, so that others reclaim its entries. It takes many of these for one entry, and lemma 4 still
 * holds.
 *
 * Failures. When Redis does not execute 2, a death counts too much; the advocate tries again at its next look. When
 * Redis does not execute 3, a death does not count, and the suspect is tried again. When either is executed late,
 * after this process has died and another has the entry, it does nothing, since the script changes only the numbers
 * of entries that are pending under this process's name. tests/models/deaths.pml is the model of this file.
 */
#ifndef ROOKERY_WORKERS_RUNTIME_TRIAL_H
#define ROOKERY_WORKERS_RUNTIME_TRIAL_H

#include "workers/runtime/runtime.h"

#define SUSPECT_DELIVERIES 3

struct trial {
    struct worker *worker;
    /* of the suspect; borrowed */
    struct str key;
    const char *group;
    const struct item *item;
    struct fiber *lane;
    struct fiber *advocate; /* NULL: none */
    struct latch advocate_left;
};

/* Returns false when the process may not begin a trial now. Otherwise t has the turn, until trial_close. */
bool trial_open(struct trial *t, struct worker *w);
/* From here on the calling lane handles the item (with its number of deliveries before this one), of this stream and
 * group; all are borrowed until trial_close. On allocation failure the lane continues without an advocate. */
void trial_watch(struct fiber *self, struct trial *t, struct str key, const char *group,
                 const struct item *item);
void trial_close(struct fiber *self, struct trial *t);

/* Returns true when the item's number is too large. */
bool trial_is_over(const struct worker *w, const struct item *item);
/* Returns true when the role's group has settled an entry of the role that was delivered after this one; false also
 * when Redis cannot tell. */
bool trial_has_evidence(struct fiber *self, struct worker *w, struct str key, const struct role *role,
                        const struct item *item);

#endif
