/* rebuild: a home timeline's list is built while relations change, a post is delivered and lists are lost.
 *
 * Stands for core/domain/timeline/list.h ("Rebuild" and "Invalidation") and core/event/tokens.h.
 *
 * Lemma: a list whose head is a floor holds every entry that is due: those of the authors that the viewer follows
 * according to the last acknowledged change, once their fan-out is done. No page shows an author whose removal was
 * acknowledged before the look.
 * Why: a claim before the DEL is removed by the DEL; after it, commit < DEL < claim < relations are loaded < entries
 * are read.
 *
 * Abstractions: one viewer; one author, who is followed and unfollowed; one post, committed at any time (in a list
 * without order one post says nothing about another; order and floors are the model "floors"). A building mark may be
 * taken for stale at any time, a FILL may be executed at any time after its claim, a delivery be repeated and a list
 * be lost or trimmed at any time: so there are no clocks, and a process that dies is one that takes no further step.
 * A change whose process died after the commit is announced by the relay: the same steps, later.
 * Cannot see: deletion of posts, epochs, the first look that a gateway keeps (gateway/home/tail.h), more than one
 * viewer's keys.
 *
 * Mutants:
 *   MUTANT_RELATIONS_BEFORE_CLAIM  finds gap    the rebuild uses the relations of the look, older than its claim
 *   MUTANT_ENTRIES_BEFORE_CLAIM    finds gap    the rebuild reads entries before deliveries land
 *   MUTANT_FILL_UNCHECKED          finds gap    FILL does not look whether the head is still this builder's
 *   MUTANT_NO_NONCE                finds gap    FILL takes any building mark for its own
 *   MUTANT_DEL_BEFORE_COMMIT       finds gap    the list is deleted, then the change commits
 *   MUTANT_TOKEN_BEFORE_COMMIT     finds gap    the token is set, then the change commits
 */
#define CHANGES 2 /* follow, unfollow */

bool committed, follows; /* SQL: the post, and the relation */
mtype = { MISSING, BUILDING, FLOOR, TRIMMED };
mtype head = MISSING; /* Redis: the list; its nonce while it is building; whether the post is in it */
byte nonce;
bool listed;
byte token;
bool fanned, delivered;   /* the post's fan-out is done; it went to the viewer */
bool acknowledged = true; /* no change is in progress */
bool due[2], banned[2];   /* what the page of a reader must show, must not show, if no change begins meanwhile */
bool gap, shown;

inline delete_list() { d_step { head = MISSING; nonce = 0; listed = false } }
inline deliver() { d_step { listed = head != MISSING } } /* RPUSHX */
inline judge(page) {
    gap = due[_pid] && !(page);
    shown = banned[_pid] && (page);
    assert(!gap);
    assert(!shown)
}
inline load_relations() { d_step { known = follows; known_token = seen_token } }

active [2] proctype reader() {
    byte seen_token, known_token;
    bool known; /* does the viewer follow? By SQL, loaded after known_token was seen */
    bool page;
    mtype seen;
    do
    :: d_step { /* the look */
           seen_token = token;
           seen = head;
           page = listed;
           due[_pid] = fanned && acknowledged && follows;
           banned[_pid] = acknowledged && !follows
       }
       if
       :: d_step { seen == FLOOR ->
              if :: seen_token != known_token -> load_relations() :: else fi;
              judge(page && known)
          }
       :: d_step { seen == TRIMMED -> delete_list() }
       :: seen == MISSING || seen == BUILDING ->
#ifdef MUTANT_RELATIONS_BEFORE_CLAIM
           load_relations();
#endif
#ifdef MUTANT_ENTRIES_BEFORE_CLAIM
           page = committed;
#endif
           if :: d_step { head == MISSING || head == BUILDING -> head = BUILDING; nonce = _pid + 1 } /* CLAIM */
              :: head != MISSING /* another's, and not stale */
           fi;
#ifndef MUTANT_RELATIONS_BEFORE_CLAIM
           load_relations();
#endif
           d_step {
#ifndef MUTANT_ENTRIES_BEFORE_CLAIM
               page = committed;
#endif
               page = page && known;
               judge(page)
           }
           if
#ifdef MUTANT_FILL_UNCHECKED
           :: d_step { head != MISSING ->
#elif defined(MUTANT_NO_NONCE)
           :: d_step { head == BUILDING ->
#else
           :: d_step { head == BUILDING && nonce == _pid + 1 ->
#endif
                  head = FLOOR; nonce = 0; listed = listed || page }
           :: true /* not its own any more; or it gives up */
           fi
       fi;
       d_step { seen = 0; seen_token = 0; page = false; due[_pid] = false; banned[_pid] = false }
    od
}

active proctype changer() { /* what GraphService does */
    byte n;
    do
    :: n < CHANGES ->
       d_step { acknowledged = false; due[0] = false; due[1] = false; banned[0] = false; banned[1] = false }
#ifdef MUTANT_DEL_BEFORE_COMMIT
       delete_list();
#endif
#ifdef MUTANT_TOKEN_BEFORE_COMMIT
       token++;
#endif
       follows = !follows; /* the commit */
#ifndef MUTANT_DEL_BEFORE_COMMIT
       delete_list();
#endif
#ifndef MUTANT_TOKEN_BEFORE_COMMIT
       token++;
#endif
       d_step { acknowledged = true; n++ }
    :: n == CHANGES -> break
    od
}

active proctype worker() {
    committed = true; /* the event is in its hand */
    if
    :: follows -> deliver(); delivered = true
    :: else
    fi;
    fanned = true
}

active proctype environment() {
    do
    :: d_step { head != MISSING -> delete_list() } /* expiry, eviction */
    :: d_step { head != MISSING -> head = TRIMMED; nonce = 0 }
    :: d_step { head != MISSING && listed -> head = TRIMMED; nonce = 0; listed = false }
    :: d_step { delivered -> deliver() } /* again, by another worker or late */
    od
}
