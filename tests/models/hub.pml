/* hub: a gateway hears events and guards a cache, while events are trimmed unheard and another Redis takes over.
 *
 * Stands for gateway/hub/hub.h (both lemmas) and gateway/cache/fill_guard.h.
 *
 * Lemmas: a look that finds nothing missing is right: everything that was added before it has been heard. While the
 * hub is fresh, it serves no cached value whose change was acknowledged longer ago than the hub's freshness lasts.
 * Why: a place counts all entries up to it; a read confirms as of when it was sent, on the server and in the epoch of
 * its place, and only by the proof of a look that was sent at most a second earlier; a fill stores nothing once it
 * has heard of a change.
 *
 * Abstractions: one partition, one cached post, whose changes follow one another; any event invalidates it. Two
 * stories: entries are removed, at any age; or another Redis takes over, and counts its ids for itself. A clock that
 * ticks at any time: what lasts up to a second (a look's proof, freshness) is over at the second tick; an entry may
 * be removed from the third tick on; one that is removed younger, which should not happen, may spoil freshness until
 * the third tick after that. A read has room for one entry, and what was sent with it is executed in the same step. A
 * change is acknowledged in the newest epoch, when the gateway no longer knows an older one (the model "epochs"). The
 * fill guard's ring is a flag of the one fill. A process that stalls lets the clock tick.
 * Cannot see: that a full read confirms nothing (its entry discards all that is cached here), a stream that is
 * deleted and recreated, live feeds, the age that each cache allows.
 *
 * Mutants:
 *   MUTANT_NO_LOOKS           finds stale    after its start the hub never counts
 *   MUTANT_NO_COUNTING        finds unheard  a look proves that nothing is missing, whatever its count says
 *   MUTANT_OLD_LOOK           finds stale    no look is sent while one is unsettled: a read confirms by a count from
 *                                            long before it
 *   MUTANT_CONFIRMED_BY_REPLY finds stale    a read confirms as of its reply
 *   MUTANT_ANOTHER_SERVER     finds stale    a read confirms though it was executed by another server than its place's
 *   MUTANT_UNGUARDED_FILL     finds stale    a fill is stored though its post was invalidated meanwhile
 *   MUTANT_NOT_FORGOTTEN      finds stale    starting over keeps what is cached
 */
#define CHANGES 2
#define LONG 2 /* ticks: a second has certainly gone by */
#define OLD 3  /* ticks: may be trimmed */
#define SERVER(epoch) ((epoch) & 1)
#define NONE 15 /* nothing is cached */
#define UP_TO(id) ((2 << (id)) - 2)
#define SET(id) (1 << (id))
#define FIRST 1 /* the server of the first epoch */

bool takeover; /* of the two stories: another Redis takes over; else entries are removed */
/* SQL and the changer */
byte changes = CHANGES; /* to come */
byte value;               /* of the post: the number of its changes */
byte acked, acked_1, acked_2; /* the newest value that was acknowledged: by now, by the last tick, by the one before */
byte newest = 1;          /* epoch */
/* Redis */
byte there[2];            /* ids in the stream: a set */
byte added[2];            /* entries ever, and the newest id */
byte added_1, added_2, added_3; /* to the first server: by the last tick, ... */
byte early;               /* ticks for which what was removed young may spoil freshness */
/* the gateway */
bit shared = 1, own = 1;  /* servers that its connections are to: the shared one, the hub's */
byte known = 1;           /* epoch_now() */
byte cached = NONE;
bool may_store; /* the fill guard: nothing was invalidated since the fill under way began */
/* the hub's ear */
bool placed, missed, looking;
byte at_id, at_count, at_epoch;
bit at_server = 1;
byte end_id, end_count;
/* ticks for which a look, its proof, a confirmation, the read in flight are not old */
byte looked, proved, fresh, sent;
byte heard; /* a set of ids, of at_server: heard, or before the place where hearing began */
bool unheard, stale;

#define EPOCH_OF_EAR (own == shared -> known : 0)
#define IS_FRESH (fresh > 0 && known != 0)

#ifdef MUTANT_ANOTHER_SERVER
#define OF_THIS_SERVER true
#else
#define OF_THIS_SERVER (at_server == own && EPOCH_OF_EAR == at_epoch)
#endif

inline forget() { cached = NONE; may_store = false }
#define LESS(ticks) ((ticks) > 0 -> (ticks) - 1 : 0)
inline tick() {
    acked_2 = acked_1;
    acked_1 = acked;
    added_3 = added_2;
    added_2 = added_1;
    added_1 = (takeover -> 0 : added[FIRST]);
    early = LESS(early);
    looked = LESS(looked);
    proved = LESS(proved);
    fresh = LESS(fresh);
    sent = LESS(sent)
}

active proctype changer() {
    byte epoch;
    do
    :: d_step { changes > 0 -> changes--; value++ } /* the commit */
       do
       :: d_step { epoch = newest; added[SERVER(epoch)]++; there[SERVER(epoch)] = there[SERVER(epoch)] | SET(added[SERVER(epoch)]) }
          if
          :: d_step { epoch == newest && (known == 0 || known == epoch) -> acked = value; epoch = 0 }
             break
          :: epoch != newest /* again, by the relay */
          fi
       od
    od
}

#define IS_THERE(id) (!takeover && (there[FIRST] & SET(id)) != 0)
inline remove(id) { early = (id > added_3 -> OLD : early); there[FIRST] = there[FIRST] & ~SET(id) }

active proctype environment() {
    if
    :: true
    :: d_step { value == 0 && !placed -> takeover = true; changes = 1; added[FIRST] = 1 } /* there was one before */
    fi;
    do
    :: d_step { true -> tick() }
    :: d_step { IS_THERE(1) -> remove(1) }
    :: d_step { IS_THERE(2) -> remove(2) }
    :: d_step { takeover && newest == 1 -> newest++ }
    :: d_step { known != 0 && known != newest -> known = 0 } /* it looks */
    :: d_step { shared != SERVER(newest) -> shared = SERVER(newest); known = 0 }
    :: d_step { known == 0 && shared == SERVER(newest) -> known = newest; forget() }
    :: own != SERVER(newest) -> own = SERVER(newest)
    od
}

active proctype service() {
    byte loaded;
    do
    :: d_step { /* serve */
           stale = IS_FRESH && cached < acked_2 && early == 0;
           assert(!stale)
       }
    :: d_step { IS_FRESH -> may_store = true }
       loaded = value;
       d_step {
#ifdef MUTANT_UNGUARDED_FILL
           cached = loaded;
#else
           cached = (may_store -> loaded : cached);
#endif
           may_store = false;
           loaded = 0
       }
    od
}

/* Everything that is there up to the end that was looked at has been heard. */
inline settle_look() {
    looking = false;
#ifndef MUTANT_NO_COUNTING
    if
    :: at_count != end_count -> missed = true; fresh = 0
    :: else ->
#endif
        unheard = (UP_TO(end_id) & ~heard) != 0;
        proved = looked;
#ifndef MUTANT_NO_COUNTING
    fi;
#endif
    assert(!unheard);
    looked = 0;
    end_id = 0;
    end_count = 0
}

/* The oldest id above at_id, or 0. */
inline read_one() {
    got = 1;
    do
    :: got <= added[own] && (got <= at_id || (there[own] & SET(got)) == 0) -> got++
    :: else -> break
    od;
    got = (got <= added[own] -> got : 0)
}

inline hear_replies() {
    if
    :: looks ->
        end_id = look_id;
        end_count = look_count;
        looked = sent;
        looking = end_id >= at_id;
        missed = missed || !looking
    :: else
    fi;
    if
    :: got != 0 ->
        if :: looking && got > end_id -> settle_look() :: else fi;
        at_id = got;
        at_count++;
        heard = heard | SET(got);
        forget() /* invalidates */
    :: looking && got == 0 -> settle_look()
    :: else
    fi;
    if
    :: got == 0 && !missed && OF_THIS_SERVER ->
#ifdef MUTANT_CONFIRMED_BY_REPLY
        fresh = LONG
#else
        fresh = sent
#endif
    :: else
    fi
}

active proctype ear() {
    bool looks;
    byte epoch, look_id, look_count, got;
    do
    :: d_step { !placed || missed || at_server != own || (EPOCH_OF_EAR != 0 && EPOCH_OF_EAR != at_epoch) -> /* start over */
           fresh = 0;
           epoch = EPOCH_OF_EAR;
           sent = LONG
       }
       if
       :: d_step { epoch != 0 -> look_id = added[own]; look_count = added[own] }
          if
          :: d_step { EPOCH_OF_EAR == epoch ->
                 placed = true;
                 missed = false;
                 looking = false;
                 end_id = 0;
                 end_count = 0;
                 looked = 0;
                 at_id = look_id;
                 at_count = look_count;
                 at_epoch = epoch;
                 at_server = own;
                 proved = sent;
                 heard = UP_TO(at_id);
#ifndef MUTANT_NOT_FORGOTTEN
                 forget()
#endif
             }
          :: true /* lost; or in another epoch */
          fi
       :: epoch == 0
       fi;
       d_step { epoch = 0; look_id = 0; look_count = 0; sent = 0 }
    :: d_step { placed && !missed && at_server == own && (EPOCH_OF_EAR == 0 || EPOCH_OF_EAR == at_epoch) -> /* read once */
#ifdef MUTANT_OLD_LOOK
           looks = !looking && proved == 0;
#elif !defined(MUTANT_NO_LOOKS)
           looks = proved == 0;
#endif
           sent = LONG
       }
       d_step { /* executed, maybe on a new connection */
           look_id = (looks -> added[own] : 0);
           look_count = look_id;
           read_one()
       }
       if
#ifdef MUTANT_ANOTHER_SERVER
       :: d_step { true -> hear_replies() }
#else
       :: d_step { at_server == own -> hear_replies() }
#endif
       :: true /* lost; or from another server */
       fi;
       d_step { got = 0; look_id = 0; look_count = 0; looks = false; sent = 0 }
    od;
}
