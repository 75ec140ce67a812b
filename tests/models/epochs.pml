/* epochs: two Redis servers take turns, and PostgreSQL goes back to a backup, while a post is delivered and a
 * relation changes.
 *
 * Stands for core/event/epoch.h, core/event/newest.h and core/domain/post/announce.c.
 *
 * Lemma: a page of a list whose fence found the reader's epoch
 *   - has every post from before an acknowledged follow, whichever Redis it comes from (stale);
 *   - has every entry that is due, if the reader has looked since the newest epoch was opened: committed and marked as
 *     published, nothing of it waiting on the newest Redis's stream, by an author whom the viewer follows (gap).
 *   - has the reader's own entry, once it has been acknowledged (unseen).
 * And what is marked as published is on the newest epoch's stream, or was (lost).
 * Why: an epoch's number is one Redis's and used once; what a fence found in an epoch was executed before the key
 * became the next number, so before any list of the next epoch was claimed; what had been committed when SQL was
 * asked was committed before the opening of any epoch later than its answer; and a change is acknowledged in an epoch
 * when every process has looked since its opening. An abandonment and a look that beats come one after the other: so
 * no process knows an epoch that was abandoned, and what is read then was built later, or comes from SQL.
 *
 * Abstractions: two daemons, each with a connection of its own that follows the path when it likes; both read and
 * know an epoch; the first posts and relays, the second delivers and follows. A list's rebuild is one step (the model
 * "rebuild"). Time does not decide who may open an epoch: a daemon that finds that the newest is not its Redis's may,
 * K - 2 times in all. A Redis is empty when the path first leads to it, or (without a restore) a copy of the other. A
 * PostgreSQL that went back is noticed at the next look; each daemon loses its connection first. An epoch is abandoned
 * after a silence: no daemon reaches Redis for so long that what each knew by its last look has expired, and no look
 * has beaten since. Then a post is acknowledged by SQL alone. Five stories:
 * PostgreSQL goes back twice, over an unfollow; the path moves to the other Redis and back while the viewer follows;
 * it moves while PostgreSQL goes back; it moves and back while the viewer posts; the viewer posts around a silence.
 * Cannot see: a post that is acknowledged because the relay has published it; that a daemon reads another Redis until
 * its next look, except after a follow (stale) or a post (unseen); that events are republished for other consumers (the
 * model "outbox"); a restore that cannot be told from the state before it; how long a silence is.
 *
 * Mutants:
 *   MUTANT_OLD_EPOCH_AGAIN    finds gap    a run_id that comes back gets its old epoch back
 *   MUTANT_NUMBER_FROM_SQL    finds gap    the next number is max(epoch) + 1: it is used again after a restore
 *   MUTANT_NUMBER_FROM_KEY    finds lost   the next number is only above max(epoch) and the key: after a
 *                                          restore two servers get the same, and an event that only one has is marked
 *                                          in the other's epoch
 *   MUTANT_RESTORE_UNNOTICED  finds gap    no process notices that PostgreSQL went back
 *   MUTANT_NO_FENCE           finds gap    what was executed in another epoch is trusted
 *   MUTANT_NO_CONFIRM         finds stale  a change is acknowledged without asking SQL which epoch is the newest
 *   MUTANT_YOUNG_EPOCH        finds stale  a change is acknowledged though a process may not know the epoch yet
 *   MUTANT_POST_UNCONFIRMED   finds unseen a post is acknowledged because its Redis took it, whichever is in use
 *   MUTANT_POST_YOUNG         finds unseen a post is acknowledged though a process may not know the epoch yet
 *   MUTANT_POST_ASKED_EARLY   finds unseen SQL is asked for the newest epoch before the post is committed
 *   MUTANT_LOOK_BEFORE_BEAT   finds unseen a look beats in the statement that looks: it has waited for an abandonment,
 *                                          and saw the time before
 *   MUTANT_BEAT_UNHEARD       finds unseen an epoch is abandoned though a look has beaten
 */
#define A 0
#define B 1
#define K 4 /* epochs have numbers from 1 to below this */

/* PostgreSQL */
byte newest = 1, newest_run = A; /* the row with max(epoch) */
bool abandoned; /* it is superseded, and nothing is newer */
byte used = 1; /* PostgreSQL's time: the highest number that a process has chosen */
bool committed, marked, follows;
byte history; /* how often it went back */
byte saved_newest, saved_run; /* the backup; 0: there is none */
bool saved_committed, saved_marked, saved_follows;
#ifdef MUTANT_OLD_EPOCH_AGAIN
byte row[2] = { 1, 0 };
#endif
/* Redis */
byte path = A;
byte key[2] = { 1, 0 };         /* the key "epoch" */
byte seen_number[2] = { 1, 0 }; /* the key "database": an epoch, and how often SQL had gone back */
byte seen_history[2];
mtype = { MISSING, WITHOUT, WITH };
mtype list[8] = MISSING;        /* tl:{viewer} by server and epoch: without the post, or with it */
bool waiting[2];                /* the event is on the stream, and not acknowledged by the fan-out */
bool added[2];                  /* it ever was */
/* the world */
bool posted, acknowledged = true; /* the post was made once; no change is under way */
byte changes, moves, restores, silences; /* that are still to come */
bool begun;
byte knows[2] = 1; /* the epoch that a daemon knows; 0: none */
bool beats[2]; /* its look has beaten, and has not ended */
byte looked_at[2]; /* the newest epoch at a daemon's last look; 0: PostgreSQL went back since */
bool own, shown; /* the viewer is the author; who has posted, and had an answer */
bool older;     /* the post was committed before the follow */
bool gap, stale, unseen, lost;
#define epoch knows[_pid]
#define NEWEST (abandoned -> 0 : newest)
#define TL(server, number) list[(server) * K + (number)]
#ifdef MUTANT_RESTORE_UNNOTICED
#define WENT_BACK false
#else
#define WENT_BACK (seen_number[conn] > newest || (seen_number[conn] == newest && seen_history[conn] != history))
#endif
#ifdef MUTANT_OLD_EPOCH_AGAIN
#define IS_OURS (row[conn] != 0)
#define OUR_EPOCH row[conn]
#else
#define IS_OURS (ours && !back && key[conn] == number)
#define OUR_EPOCH number
#endif
#ifdef MUTANT_NUMBER_FROM_SQL
#define NEXT number + 1; seen_history[conn] = known_history
#elif defined(MUTANT_NUMBER_FROM_KEY)
#define NEXT 1 + (key[conn] > number -> key[conn] : number)
#else
#define NEXT 1 + used /* time has gone on */
#endif
#ifdef MUTANT_NO_FENCE
#define FENCED (epoch == e)
#else
#define FENCED (epoch == e && key[conn] == e)
#endif
#ifdef MUTANT_NO_CONFIRM
#define CONFIRMED true
#else
#define CONFIRMED (e == asked) /* what SQL said */
#endif
#define KNOWN(number) (looked_at[0] >= number && looked_at[1] >= number) /* after LOOK_WITHIN_MS */
#if defined(MUTANT_YOUNG_EPOCH) || defined(MUTANT_NO_CONFIRM)
#define OLD_ENOUGH true
#else
#define OLD_ENOUGH KNOWN(e)
#endif
#ifdef MUTANT_POST_UNCONFIRMED
#define POST_CONFIRMED true
#else
#define POST_CONFIRMED (asked == told)
#endif
#if defined(MUTANT_POST_YOUNG) || defined(MUTANT_POST_UNCONFIRMED)
#define POST_OLD_ENOUGH true
#else
#define POST_OLD_ENOUGH KNOWN(told)
#endif
#if defined(MUTANT_POST_UNCONFIRMED) || defined(MUTANT_POST_YOUNG) || defined(MUTANT_POST_ASKED_EARLY)
#define POST_ONLY /* the other stories are without it */
#endif
#if defined(MUTANT_LOOK_BEFORE_BEAT) || defined(MUTANT_BEAT_UNHEARD)
#define SILENCE_ONLY
#endif
#ifdef MUTANT_BEAT_UNHEARD
#define SILENT true
#else
#define SILENT (!beats[0] && !beats[1])
#endif
#ifdef MUTANT_POST_ASKED_EARLY
#define MAY_ASK true
#else
#define MAY_ASK committed
#endif

/* SQL is asked: over a new connection after a restore, and then nothing is known. */
inline sql() {
    if :: known_history != history -> known_history = history; epoch = 0 :: else fi
}
/* What is sent may wait for a new connection. */
inline sent() {
    if :: path != conn -> conn = path; epoch = 0 :: true fi
}

inline look() {
    d_step {
        sql();
        number = newest;
        ours = newest_run == conn && !abandoned;
        back = WENT_BACK;
        looked_at[_pid] = number
#ifdef MUTANT_LOOK_BEFORE_BEAT
    }
    d_step {
#else
        ;
#endif
        beats[_pid] = ours
    }
    if
    :: d_step { IS_OURS -> /* it is ours */
           epoch = OUR_EPOCH;
           seen_number[conn] = epoch;
           seen_history[conn] = known_history;
           number = 0; ours = false; back = false; beats[_pid] = false
       }
    :: d_step { !IS_OURS && used + 1 < K -> /* the next is opened */
           e = number;
           number = NEXT;
           used = (number > used -> number : used);
           key[conn] = number;
           epoch = 0;
           beats[_pid] = false
       }
       d_step {
           sql();
           if
           :: newest == e ->
              newest = number; newest_run = conn; abandoned = false
#ifdef MUTANT_OLD_EPOCH_AGAIN
              ; row[conn] = number
#endif
           :: else
           fi;
           e = 0; number = 0; ours = false; back = false
       }
    :: d_step { !IS_OURS -> epoch = 0; number = 0; ours = false; back = false; beats[_pid] = false } /* that is left to others */
    fi
}

inline read() {
    if
    :: !FENCED
    :: FENCED && TL(conn, e) == MISSING -> /* it is built */
       sql();
       if :: epoch == e -> TL(conn, e) = (committed && follows -> WITH : WITHOUT) :: else fi
    :: FENCED && TL(conn, e) != MISSING ->
       gap = TL(conn, e) == WITHOUT && looked_at[_pid] == newest &&
             committed && marked && !waiting[newest_run] && follows && acknowledged;
       stale = TL(conn, e) == WITHOUT && older && follows && acknowledged;
       unseen = TL(conn, e) == WITHOUT && shown && committed;
       assert(!gap);
       assert(!stale);
       assert(!unseen)
    fi
}

inline deliver() {
    if :: follower && TL(conn, e) != MISSING -> TL(conn, e) = WITH :: else fi;
    if :: FENCED -> waiting[conn] = false :: else fi
}

inline publish() {
    waiting[conn] = true;
    added[conn] = true;
    if :: own && TL(conn, e) != MISSING -> TL(conn, e) = WITH :: else fi;
    if :: FENCED -> to_mark = e; told = (own -> e : 0) :: else fi
}

inline mark() {
    sql();
    if
    :: committed && to_mark == NEWEST -> marked = true; lost = !added[newest_run]; assert(!lost)
    :: else
    fi;
    to_mark = 0
}

active [2] proctype daemon() {
    byte conn = A, e, number, to_mark, asked, told;
    byte known_history;
    bool ours, back, follower;
    begun;
    do
    :: d_step { path != conn -> conn = path; epoch = 0 }
    :: look()
    :: d_step { epoch != 0 -> e = epoch }
       atomic { sent(); read(); e = 0 }
    :: d_step { _pid == 1 && epoch != 0 && waiting[conn] -> e = epoch; sql(); follower = follows }
       atomic { sent(); deliver(); e = 0; follower = false }
    :: d_step { _pid == 0 && epoch != 0 && committed && !marked && to_mark == 0 -> e = epoch } /* as gateway, as relay */
       atomic { sent(); publish(); e = 0 }
    :: d_step { to_mark != 0 -> mark() }
    :: d_step { _pid == 0 && !posted -> sql(); posted = true; committed = true }
    :: d_step { _pid == 1 && changes > 0 && acknowledged ->
           sql(); changes--; acknowledged = false; follows = !follows; older = committed && follows
       }
    :: d_step { _pid == 1 && epoch != 0 && !acknowledged -> e = epoch; sql(); asked = NEWEST }
       atomic { sent(); TL(conn, e) = MISSING; ours = FENCED }
       d_step {
           if :: ours && CONFIRMED && OLD_ENOUGH -> acknowledged = true :: else /* again */ fi;
           e = 0; ours = false; asked = 0
       }
    :: d_step { _pid == 0 && own && MAY_ASK && !shown && asked == 0 -> sql(); asked = NEWEST }
    :: d_step { _pid == 0 && own && committed && !shown && abandoned -> sql(); shown = true } /* nobody reads from Redis */
    :: d_step { told != 0 && asked != 0 && committed && (!POST_CONFIRMED || POST_OLD_ENOUGH) ->
           shown = (POST_CONFIRMED -> true : false); told = 0; asked = 0
       }
    od
}

active proctype world() {
    if
#if !defined(POST_ONLY) && !defined(SILENCE_ONLY)
    :: d_step { changes = 1; restores = 2; follows = true; posted = true; committed = true; marked = true }
#ifndef MUTANT_NUMBER_FROM_KEY /* this story is long, and does not show it */
    :: d_step { moves = 2; changes = 1 }
#endif
    :: d_step { moves = 1; restores = 1; follows = true }
#endif
#ifndef SILENCE_ONLY
    :: d_step { moves = 2; follows = true; own = true }
#endif
#ifndef POST_ONLY
    :: d_step { silences = 2; follows = true; own = true }
#endif
    fi;
    begun = true;
    do
    :: d_step { moves > 0 && path == A -> path = B; moves-- } /* to an empty server */
    :: d_step { moves > 0 && path == A && key[B] == 0 && restores == 0 && history == 0 -> path = B; moves--; /* to one that was a replica */
           key[B] = key[A]; seen_number[B] = seen_number[A]; seen_history[B] = seen_history[A];
           waiting[B] = waiting[A]; added[B] = added[A]; TL(B, 1) = TL(A, 1)
       }
    :: d_step { moves > 0 && path == B -> path = A; moves-- }
    :: d_step { silences > 0 && !abandoned && SILENT -> silences--; knows[0] = 0; knows[1] = 0; abandoned = true }
    :: d_step { restores > 0 && saved_newest == 0 -> saved_newest = newest; saved_run = newest_run;
           saved_committed = committed; saved_marked = marked; saved_follows = follows }
    :: d_step { restores > 0 && saved_newest != 0 -> restores--; history++; newest = saved_newest; newest_run = saved_run;
           committed = saved_committed; marked = saved_marked; follows = saved_follows;
           looked_at[0] = 0; looked_at[1] = 0; older = false; shown = false
       }
    od
}
