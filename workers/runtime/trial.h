/* Trials: whose fault it is when workers die.
 *
 * An entry that kills every worker which handles it must end as a dead letter, and one that was merely in the hands of
 * workers which died must not. Nobody survives to say which it was; what is left is the number of deliveries that
 * Redis keeps of a pending entry.
 *
 * Words. A *suspect* is an entry that has been delivered SUSPECT_DELIVERIES times and is still pending. It is taken over
 * alone, and what a lane does with it is its *trial*. To *excuse* it is to take this delivery off its number again.
 * It is *convicted* when its number is greater than ROOKERY_MAX_DELIVERIES (and than SUSPECT_DELIVERIES): a dead letter,
 * untried.
 *
 * A trial:
 *   1. The lane asks for the process's turn (trial_open). It gets it when the process has lived for a second and no other
 *      suspect has the turn. Only then it takes over its least suspect, which adds one to that one's number.
 *   2. An advocate, a fiber of its own, looks at the lane every 100 ms. When the lane has been in the same wait at two
 *      looks, and not for the thread pool to compute for it, the advocate excuses the suspect and gives the turn back.
 *   3. When that wait is over, the lane adds one again before its role goes on, and waits until Redis has done so.
 *   4. The suspect is settled and acknowledged, or the worker dies and the number stays what it is.
 *
 * Lemma 1: a death during a wait of more than 200 ms (two looks) does not count. By 2 its delivery has been taken off,
 * and by 3 it is added again only after the wait. PostgreSQL that holds a role up for hours, while its workers are
 * killed over and over, adds nothing.
 * Lemma 2: a death while the suspect is computed counts. Computing is outside of waits or in the thread pool; either way
 * the last command that Redis executed of the trial is 1's or 3's.
 * Lemma 3: the death that a suspect causes does not count for another, whichever lanes of the process they are in: until
 * the one is settled or excused, the others are not taken over. (One that was excused may go on while another has the
 * turn. Then both count one; their next trials are one after the other again.) An entry that is no suspect yet may be the cause; it is one
 * after SUSPECT_DELIVERIES deaths.
 * Lemma 4: a convicted entry was delivered before another that has been settled (trial_has_evidence). So its role, its
 * partition and what these need did work since it came; it was not everybody's trouble. Without that it is tried again, alone.
 * Together: whoever is convicted has had more than ROOKERY_MAX_DELIVERIES - SUSPECT_DELIVERIES trials that ended in a
 * death within 200 ms of the beginning of a wait, or while it was computed, and others went through meanwhile.
 *
 * A loop of crashes that has nothing to do with entries kills each process within its first second: no suspect is
 * taken over at all, and nothing counts.
 *
 * What remains. A killer from outside that strikes again and again in the first 200 ms of a wait, or while an entry that takes
 * long is computed, makes a dead letter of an innocent one, which can be replayed. An entry that kills while its lane waits
 * (by the memory that an answer takes, say) is never convicted; each of its trials is in the log.
 * Deaths at such bad moments count also while nothing later is settled, and stay counted: an entry that had many of them, and after
 * whose trouble a later entry is settled first, is convicted untried.
 * Also counted is what only looks like a death: a claim of 1 whose reply is lost, and a worker that cannot reach Redis for
 * ROOKERY_RECLAIM_MS, whose entries others take over. It takes many of these for one entry, and lemma 4 holds all the same.
 *
 * Failures. Redis does not execute 2: a death counts too much; the advocate tries again at its next look. It does not
 * execute 3: a death does not count, and the suspect is tried once more. Either is executed late, when this
 * process is dead and the entry somebody else's: it does nothing, since the script changes the number only of what is pending
 * under this process's name. tests/models/deaths.pml stands for this file.
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

/* False when the process may not begin a trial now; else it is t's turn, until trial_close. */
bool trial_open(struct trial *t, struct worker *w);
/* From here on the calling lane handles the item (with its number of deliveries before this one), of this stream and
 * group; all borrowed until trial_close. Without memory it goes on unwatched. */
void trial_watch(struct fiber *self, struct trial *t, struct str key, const char *group,
                 const struct item *item);
void trial_close(struct fiber *self, struct trial *t);

/* Has its number grown too large? */
bool trial_is_over(const struct worker *w, const struct item *item);
/* Has the group settled an entry that was delivered after this one? False also when Redis cannot tell. */
bool trial_has_evidence(struct fiber *self, struct worker *w, struct str key, const char *group,
                        const struct item *item);

#endif
