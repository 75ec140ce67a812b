/* outbox: events are committed, published, marked and relayed, while gateways and the relay's leader die and Redis is
 * lost.
 *
 * Stands for core/event/outbox.h and workers/outbox/relay.c.
 *
 * Lemma: a row that is marked as published, once the newest epoch is republished, is on the stream of that epoch's
 * Redis; and when nothing is left to do, every committed event is.
 * Why: a row is marked after Redis took it, and only while the epoch in which it did is the newest; what was marked
 * before an epoch was opened is made unpublished again before the epoch counts as republished.
 *
 * Abstractions: each Redis is a new process with an empty stream, and the number of its epoch is its own; Redis is
 * lost LOSSES times. Two gateways with an event each, which may die anywhere. Two relays, since a lease may run out
 * while its holder goes on; they begin again anywhere. A MARK is two steps: its snapshot, with the check of the
 * epoch, and its commit; between them it holds the lock on its epoch's row, for which an opening waits.
 * Cannot see: a Redis that comes back (the model "epochs"), windows of time, that events which all roles have
 * processed are not republished.
 *
 * Mutants:
 *   MUTANT_MARK_UNCHECKED        finds lost  a row is marked whatever the newest epoch is
 *   MUTANT_MARK_BEFORE_PUBLISH   finds lost  the gateway marks, then publishes
 *   MUTANT_REPUBLISHED_FIRST     finds lost  the epoch counts as republished, then rows are made unpublished again
 *   MUTANT_NOT_REPUBLISHED       finds lost  what was published before is not republished to a new Redis
 *   MUTANT_MARK_UNLOCKED         finds lost  an opening does not wait for a MARK, which commits after the republishing
 */
#define LOSSES 2
#define BOTH 3

byte server = 1, stream;             /* Redis: which process, and the events on its stream, a bit each */
byte newest = 1, republished = 1;    /* SQL: redis_epochs */
byte committed, marked;              /* SQL: the outbox */
byte marked_in[2];                   /* by published_at: the newest epoch when it was marked */
byte marking[4];                     /* a process's MARK is between snapshot and commit: with this newest epoch; 0: it is not */
bool lost;

#define EPOCH (server == newest -> newest : 0)   /* what a process may learn */
#define BEHIND (server == newest && republished < newest)
#ifdef MUTANT_MARK_UNLOCKED
#define UNLOCKED true
#else
#define UNLOCKED (marking[0] == 0 && marking[1] == 0 && marking[2] == 0 && marking[3] == 0)
#endif

inline check() {
    lost = server == newest && republished == newest && (marked & ~stream) != 0;
    assert(!lost)
}
inline xadd(events) { /* with a fence: it counts only if it was executed in the epoch that was known */
    d_step {
        if :: epoch != 0 -> stream = stream | (events) :: else fi;
        if :: server != epoch -> epoch = 0 :: else fi
    }
}
inline mark(events) {
    d_step {
#ifdef MUTANT_MARK_UNCHECKED
        marking[_pid] = newest
#else
        marking[_pid] = (epoch == newest -> newest : 0)
#endif
    }
    d_step {
        if
        :: marking[_pid] != 0 ->
           if :: (events & 1) && !(marked & 1) -> marked_in[0] = marking[_pid] :: else fi;
           if :: (events & 2) && !(marked & 2) -> marked_in[1] = marking[_pid] :: else fi;
           marked = marked | (events);
           marking[_pid] = 0;
           check()
        :: else
        fi
    }
}

active [2] proctype gateway() {
    byte event = _pid + 1, epoch;
    committed = committed | event;
    if
    :: d_step { EPOCH != 0 -> epoch = EPOCH }
    :: goto gone /* it dies; or it knows no epoch, and leaves the row to the relay */
    fi;
#ifdef MUTANT_MARK_BEFORE_PUBLISH
    mark(event);
#endif
    if :: xadd(event) :: goto gone fi;
    if :: epoch != 0 -> mark(event) :: true fi;
gone:
    epoch = 0
}

active [2] proctype relay() {
    byte epoch, rows;
end:
    do
    :: d_step { server > newest && UNLOCKED -> newest = server } /* the epoch of a new Redis is opened */
    :: BEHIND ->
#ifdef MUTANT_REPUBLISHED_FIRST
       republished = newest;
#endif
       d_step {
           epoch = newest;
#ifndef MUTANT_NOT_REPUBLISHED
           if :: marked_in[0] < newest -> marked = marked & 2; marked_in[0] = 0 :: else fi;
           if :: marked_in[1] < newest -> marked = marked & 1; marked_in[1] = 0 :: else fi
#endif
       }
       if :: d_step { republished = epoch; check() } :: true fi; /* true: it dies before */
       epoch = 0
    :: d_step { EPOCH != 0 && !BEHIND && (committed & ~marked) -> epoch = EPOCH; rows = committed & ~marked }
       xadd(rows);
       if :: epoch != 0 -> mark(rows) :: true fi; /* true: it dies before */
       d_step { epoch = 0; rows = 0 }
    od
}

active proctype world() {
    do
    :: d_step { server <= LOSSES -> server++; stream = 0 }
    :: timeout -> lost = stream != committed; assert(!lost); break /* nothing is left to do */
    od
}
