/* hub: a gateway's caches against edits, with events that are trimmed before they are heard, a hub that pauses, another Redis.
 *
 * Stands for gateway/hub.h, gateway/fill_guard.h, and what core/domain/epoch.h promises to them.
 *
 * Lemma: while the hub is fresh, a cache shows no value that an edit has replaced which was acknowledged more than FRESH ago.
 * Why: an edit is acknowledged after its event is on the newest epoch's stream. What was published before a confirmed read was sent
 * was heard by it, or was trimmed; what was trimmed unheard is missing in the count of the next look, and lives longer than
 * looks are apart. A fill that read SQL before it was invalidated is not stored.
 *
 * Abstractions: time is ticks, counted as ages up to OLD; any step may take any number of ticks. One post, EDITS edits of it, one
 * partition. One reader at a time has missed the
 * cache and asks SQL: fills do not meet but in what is stored. Redis is replaced once, by an empty one; the first one's
 * entries are trimmed. ASSUMED: an entry lives for LIFE (MUTANT_TRIM_YOUNG); a tick after an opening no gateway believes in the epoch before
 * (MUTANT_EPOCH_BELIEVED).
 * Cannot see: reads that come back full (they confirm nothing), the ring's end in the fill guard, a stream that is deleted.
 *
 * Mutants:
 *   MUTANT_NOT_COUNTED     finds stale  the hub does not look how many entries were added
 *   MUTANT_TRIM_YOUNG      finds stale  entries are trimmed by a clock that is ahead
 *   MUTANT_UNGUARDED       finds stale  a fill is stored though it was invalidated meanwhile
 *   MUTANT_OTHER_SERVER    finds stale  a read confirms, whichever server it came from
 *   MUTANT_CONFIRMED_LATE  finds stale  a read confirms as of when its answer comes, not of when it was sent
 *   MUTANT_EPOCH_BELIEVED  finds stale  a gateway believes in an epoch for longer than that after the next was opened
 */
#define A 0
#define B 1
#define NONE 9
#define EDITS 2
#define FRESH 0      /* ticks, as the others: within the tick */
#define LOOK_EVERY 2
#ifdef MUTANT_TRIM_YOUNG
#define LIFE 0
#else
#define LIFE 2
#endif
#define OLD 2
#define older(age) age = (age < OLD -> age + 1 : age)

byte version;                     /* SQL: the post's text, by number */
byte newest = A;                  /* the newest epoch's Redis */
byte last[2], trimmed[2];         /* streams, by server: the last entry ever added, the last one removed; numbered from 1 */
byte entry_age[EDITS + 1];        /* of A's entries */
byte conn = A, known = A;         /* of the gateway: the hub's connection, and the epoch that it believes in */
byte cache = NONE;                /* a version */
bool invalidated;                 /* while the reader filled it: not to be stored */
byte sent_age, confirmed_age, proved_age; /* of the hub: since a read was sent, of the last that confirmed, that proved the count */
byte acknowledged, replaced_age[EDITS + 1]; /* by version: since an edit was acknowledged that replaced it */
bool stale;

#ifdef MUTANT_UNGUARDED
#define MAY_STORE true
#else
#define MAY_STORE (!invalidated)
#endif
#ifdef MUTANT_OTHER_SERVER
#define OURS true
#else
#define OURS (known == conn)
#endif
#ifdef MUTANT_NOT_COUNTED
#define COUNTED false
#else
#define COUNTED true
#endif
#ifdef MUTANT_CONFIRMED_LATE
#define CONFIRMED 0
#else
#define CONFIRMED sent_age
#endif
#ifdef MUTANT_EPOCH_BELIEVED
#define TICKS true
#else
#define TICKS (known != 1 - newest)
#endif
#define IS_FRESH (known != NONE && confirmed_age <= FRESH)

inline invalidate() { cache = NONE; invalidated = true }

active proctype reader() {
    byte value;
    do
    :: d_step { cache != NONE && IS_FRESH ->
           stale = cache < acknowledged && replaced_age[cache] > FRESH;
           assert(!stale)
       }
    :: d_step { cache == NONE || !IS_FRESH -> invalidated = false }
       value = version;
       d_step {
           if
           :: MAY_STORE -> cache = value
           :: else
           fi;
           value = 0;
           invalidated = true
       }
    od
}

active proctype hub() {
    byte place = A, heard, count; /* of the place: its server, the last entry heard, how many were ever added up to it */
    byte first, got, added;
    bool looks, missing;
    do
    :: d_step { conn != newest -> conn = newest } /* a new connection */
    :: d_step { known == conn && place != conn -> confirmed_age = OLD } /* it starts over */
       d_step { place = conn; heard = last[conn]; count = last[conn]; proved_age = 0 }
       d_step { invalidate() }
    :: d_step { OURS && place == conn -> sent_age = 0; looks = COUNTED && proved_age >= LOOK_EVERY }
       added = last[conn]; /* the look, if it makes one */
       d_step { /* the read */
           first = (trimmed[conn] > heard -> trimmed[conn] : heard);
           got = last[conn] - first
       }
       d_step { /* the answers */
           if :: got > 0 -> invalidate() :: else fi;
           missing = looks && added > count + (added > first -> added - first : 0);
           heard = (got > 0 -> first + got : heard);
           count = count + got;
           if
           :: missing -> place = NONE
           :: !missing && looks -> proved_age = sent_age
           :: else
           fi;
           if
           :: !missing && OURS -> confirmed_age = CONFIRMED
           :: else
           fi;
           sent_age = OLD; first = 0; got = 0; added = 0; looks = false; missing = false
       }
    od
}

active proctype editor() {
    byte at;
    do
    :: version < EDITS ->
       version++;
publish:
       at = newest;
       d_step {
           last[at]++;
           if :: at == A -> entry_age[last[A]] = 0 :: else fi
       }
       if
       :: d_step { newest == at -> replaced_age[version - 1] = 0; acknowledged = version }
       :: newest != at -> goto publish
       fi
    :: version == EDITS -> break
    od
}

active proctype world() {
    do
    :: d_step { known != newest -> known = (known == NONE -> newest : NONE) } /* the gateway looks */
    :: d_step { newest == A -> newest = B }
    :: d_step { newest == A && trimmed[A] < last[A] && entry_age[trimmed[A] + 1] >= LIFE -> trimmed[A]++ }
    :: d_step { TICKS -> /* a tick */
           older(sent_age); older(confirmed_age); older(proved_age);
           older(entry_age[1]); older(entry_age[2]); older(replaced_age[0]); older(replaced_age[1])
       }
    od
}
