/* deaths: an entry that kills its workers, and innocent entries that workers were processing when they died.
 *
 * Stands for workers/runtime/trial.h and the dead letters of workers/runtime/runtime.c.
 *
 * Lemma: an innocent entry is never given up, as long as no more than MAX - SUSPECT of its trials are ended from
 * outside while it is computed or in the first 200 ms of a wait, however often workers are killed otherwise (unjust).
 * An entry that is given up was delivered before one that has been settled (unproven). The one that kills is given up
 * after MAX + 1 deaths that a later entry has survived (endless). And nothing is acknowledged that is neither settled
 * nor a dead letter (lost).
 * Why: a death in a wait that was excused does not count, and one while computing does; suspects are tried alone.
 *
 * Abstractions: one lane in two workers, which begin again when they die; three entries, of which the second kills in
 * its second computation, or already in the first. A worker computes, waits for a backend for any time, computes,
 * settles, acknowledges. SUSPECT and MAX are smaller than in the code. An excuse, and counting again, do not fail.
 * Cannot see: turns among the lanes of a process, a worker that is cut off and only looks dead, requeueing of dead
 * letters.
 *
 * Mutants:
 *   MUTANT_EVERY_DELIVERY_COUNTS  finds unjust    nothing is excused
 *   MUTANT_NO_SUSPECTS            finds unjust    what was left behind is always taken over in one batch
 *   MUTANT_NOT_COUNTED_AGAIN      finds endless   after a wait that was excused nothing is added again
 *   MUTANT_NO_EVIDENCE            finds unproven  an entry is given up though nothing after it was settled
 *   MUTANT_ACKNOWLEDGED_FIRST     finds lost      it is acknowledged, then added to the dead letters
 */
#define ENTRIES 3
#define KILLER 1
#define bit(e) (1 << (e))
#define SUSPECT 2
#define MAX 4
#define NOBODY 2

/* Redis */
byte delivered;                    /* entries below this one were given to the group */
byte pending, letters;             /* a bit each */
byte owner[ENTRIES] = NOBODY;      /* a worker; NOBODY: it is dead */
byte number[ENTRIES];              /* of deliveries */
/* elsewhere */
byte settled;                      /* the effect is durable */
byte luck[ENTRIES] = MAX - SUSPECT; /* trials that may be ended from outside at a bad moment */
byte survived;                     /* deaths of the killer's making, after something later was settled */
bool unjust, unproven, endless, lost;

#define ABANDONED(e) ((pending & bit(e)) && owner[e] == NOBODY)
#define SUSPECTED(e) (ABANDONED(e) && number[e] >= SUSPECT)
#define LIKELIER(e, f) (SUSPECTED(f) && number[f] < number[e]) /* f is tried before e */
#define EVIDENCE(e) ((bit(delivered) - 1) & ~(bit((e) + 1) - 1) & ~pending) /* delivered later, and not pending */
#ifdef MUTANT_NO_SUSPECTS
#define BATCHED(e) (ABANDONED(e) && number[e] <= MAX)
#else
#define BATCHED(e) (ABANDONED(e) && number[e] < SUSPECT)
#endif
#ifdef MUTANT_NO_EVIDENCE
#define GUILTY(e) (before > MAX)
#else
#define GUILTY(e) (before > MAX && EVIDENCE(e))
#endif

inline take(e) {
    owner[e] = _pid;
    number[e] = (number[e] <= MAX -> number[e] + 1 : number[e]);
    hand = hand | bit(e)
}
inline forget() { hand = 0; before = 0; suspect = 0; on_trial = false; i = 0 }
inline die(guilty) {
    d_step {
        for (i : 0 .. ENTRIES - 1) { if :: owner[i] == _pid -> owner[i] = NOBODY :: else fi }
        if :: guilty && EVIDENCE(KILLER) -> survived++ :: else fi;
        endless = survived > MAX + 1;
        assert(!endless);
        forget()
    }
    goto end_born
}
/* A moment at which a worker may be killed: in a trial only with bad luck. */
inline in_danger() {
    if
    :: true
    :: !on_trial -> die(false)
    :: d_step { on_trial && luck[suspect] > 0 -> luck[suspect]-- } die(false)
    fi
}
inline acknowledge() {
    d_step {
        for (i : 0 .. ENTRIES - 1) { if :: hand & bit(i) -> owner[i] = NOBODY :: else fi }
        pending = pending & ~hand;
        lost = (hand & ~settled & ~letters) != 0;
        assert(!lost);
        forget()
    }
}

inline give_up() {
    d_step {
        unjust = suspect != KILLER;
        unproven = !EVIDENCE(suspect);
        assert(!unjust);
        assert(!unproven)
    }
#ifdef MUTANT_ACKNOWLEDGED_FIRST
    acknowledge()
#else
    letters = letters | hand;
    if :: acknowledge() :: die(false) fi
#endif
}

inline handle() {
    in_danger();
    if :: hand & bit(KILLER) -> die(true) :: true fi; /* computing */
    if
    :: true /* no wait, or a short one */
    :: !on_trial
    :: on_trial -> /* a long one */
#ifndef MUTANT_EVERY_DELIVERY_COUNTS
       number[suspect] = before;
#endif
       if :: true :: die(false) fi;
#if !defined(MUTANT_EVERY_DELIVERY_COUNTS) && !defined(MUTANT_NOT_COUNTED_AGAIN)
       number[suspect] = (before <= MAX -> before + 1 : before)
#endif
    fi;
    in_danger();
    if :: hand & bit(KILLER) -> die(true) :: else fi; /* computing */
    settled = settled | hand;
    in_danger();
    acknowledge()
}

active [2] proctype worker() {
    byte hand, suspect, before, i;
    bool on_trial;
end_born:
    do
    :: if
       :: atomic { delivered < ENTRIES -> /* new entries: one, or more */
              do
              :: delivered < ENTRIES -> pending = pending | bit(delivered); take(delivered); delivered++
              :: hand != 0 -> break
              od
          }
       :: d_step { BATCHED(0) || BATCHED(1) || BATCHED(2) ->
              for (i : 0 .. ENTRIES - 1) { if :: BATCHED(i) -> take(i) :: else fi }
              i = 0
          }
       :: atomic { !(BATCHED(0) || BATCHED(1) || BATCHED(2)) && (SUSPECTED(0) || SUSPECTED(1) || SUSPECTED(2)) ->
              if
              :: SUSPECTED(0) && !LIKELIER(0, 1) && !LIKELIER(0, 2) -> suspect = 0
              :: SUSPECTED(1) && !LIKELIER(1, 0) && !LIKELIER(1, 2) -> suspect = 1
              :: SUSPECTED(2) && !LIKELIER(2, 0) && !LIKELIER(2, 1) -> suspect = 2
              fi;
              before = number[suspect];
              take(suspect);
              on_trial = true
          }
       fi;
       if
       :: on_trial && GUILTY(suspect) -> give_up()
       :: !(on_trial && GUILTY(suspect)) -> handle()
       fi
    od
}
