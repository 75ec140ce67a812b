/* floors: what the tail of a home timeline's list is complete for, however late and often entries are delivered.
 *
 * Stands for core/domain/timeline/list.h (the lemma of floors).
 *
 * Lemma: for a floor f in the list, every entry with id > f whose delivery Redis has executed, or that the rebuild's
 * SQL snapshot held, stands right of f. So a part read from the tail is complete for ids above any floor in it; the
 * leftmost proves the most.
 * Why: a push puts max(F, ids right of it) at the tail, for the nearest floor F: what was executed is at most F, or
 * right of F. The rebuild writes the entries below a floor left of it, and deliveries since its claim land right of
 * all. Elements are removed only from the left, or with the whole list.
 *
 * Abstractions: one list; entries 1 to IDS, each newer than the one before; each is committed, delivered late or
 * twice at any time, so there are no clocks and no workers that die. A floor may be pushed at any time, not only
 * behind 16 entries, and a rebuild may put one behind any entry. The list has room for ROOM elements: a delivery to a
 * full one waits for a trim.
 * Cannot see: relations (the model "rebuild": here every entry is the viewer's).
 *
 * Mutants:
 *   MUTANT_FLOOR_OF_LAST     finds gap  the floor pushed is the last id, not the greatest
 *   MUTANT_FLOOR_FORGOTTEN   finds gap  the floor pushed is the greatest id right of the nearest floor,
 *                                       though that floor is greater
 *   MUTANT_FLOOR_INVENTED    finds gap  a floor is pushed though there is none in the list: all were trimmed away
 *   MUTANT_PUSH_IN_TWO       finds gap  the reader pushes the floor of what it has read: deliveries come between
 *   MUTANT_PROMPT            finds gap  no floors but at the head; an entry that its worker took for prompt
 *                                       bounds what was delivered before it. It is executed late, and the worker that
 *                                       would have deleted the list is dead
 */
#define IDS 3
#define ROOM 5
#define PROMPT 1 /* so many ids are made in the time that a prompt delivery may take */
#define FLOOR 16 /* FLOOR + f: a floor */
#define BUILDING 8
#define LATE 32 /* LATE + id: delivered late (MUTANT_PROMPT) */
#ifdef MUTANT_PROMPT
#define WORKERS 2
#else
#define WORKERS 1
#endif
#define bit(id) (1 << (id))
#define above(f) (14 << (f) & 14)
#define is_floor(x) ((x) >= FLOOR && (x) < LATE)
#define is_entry(x) ((x) != 0 && (x) < BUILDING || (x) > LATE)
#define id_of(x) ((x) & 7)

byte list[ROOM], length; /* Redis: the elements from the left; the last ones are 0 */
byte committed;          /* SQL: ids 1 to this, made and committed in order */
byte due; /* ids (a bit each) whose delivery Redis has executed, on whatever list; or that a rebuild's snapshot held */
bool gap;

inline push(x) { list[length] = x; length++ }
inline pop_left() {
    for (i : 0 .. ROOM - 2) { list[i] = list[i + 1] }
    list[ROOM - 1] = 0;
    length--
}
inline delete_list() {
    for (i : 0 .. ROOM - 1) { list[i] = 0 }
    length = 0
}
inline deliver(x) {
    d_step {
        if :: length > 0 -> push(x) :: else fi;
        due = due | bit(id_of(x))
    }
}

/* The floor to push, by all of the list; 255: there is none. */
inline next_floor() {
    floor = 255;
    for (i : 0 .. ROOM - 1) {
        if
        :: is_floor(list[i]) -> floor = list[i] - FLOOR
#ifdef MUTANT_FLOOR_OF_LAST
        :: is_entry(list[i]) && floor != 255 -> floor = id_of(list[i])
#elif defined(MUTANT_FLOOR_FORGOTTEN)
        :: is_entry(list[i]) && floor != 255 ->
           floor = (list[i - 1] < FLOOR && floor > id_of(list[i]) -> floor : id_of(list[i]))
#elif defined(MUTANT_FLOOR_INVENTED)
        :: is_entry(list[i]) && (floor == 255 || floor < id_of(list[i])) -> floor = id_of(list[i])
#else
        :: is_entry(list[i]) && floor != 255 && floor < id_of(list[i]) -> floor = id_of(list[i])
#endif
        :: else
        fi
    }
}

/* Whether every part of the list, read from the tail, is complete above any floor in it, or above the bound of its
 * prompt entries. */
inline judge() {
    seen = 0;
    bound = IDS;
    for (i : 0 .. ROOM - 1) {
        x = list[ROOM - 1 - i];
        if
        :: is_entry(x) -> seen = seen | bit(id_of(x));
#ifdef MUTANT_PROMPT
           if :: x < BUILDING && bound > x + PROMPT -> bound = x + PROMPT :: else fi;
           gap = gap || (due & above(bound) & ~seen)
#endif
        :: is_floor(x) -> gap = gap || (due & above(x - FLOOR) & ~seen)
        :: else
        fi
    }
    i = 0; x = 0; seen = 0; bound = 0;
    assert(!gap)
}

/* One stands for any number, as it keeps nothing from one step to the next; so does one worker. */
active proctype reader() {
    byte bound, floor, seen, x, i;
    do
    :: d_step { length > 0 -> judge() }
#ifdef MUTANT_PUSH_IN_TWO
    :: d_step { length > 0 -> next_floor(); i = 0;
#elif !defined(MUTANT_PROMPT)
    :: d_step { length > 0 && length < ROOM -> next_floor(); i = 0;
#endif
#ifdef MUTANT_PUSH_IN_TWO
       }
       d_step {
#endif
#ifndef MUTANT_PROMPT
           if :: floor != 255 && length > 0 && length < ROOM -> push(FLOOR + floor) :: else fi;
           floor = 0
       }
#endif
    od
}

active [2] proctype builder() { /* a reader that finds no list, one without floors, or a stale building mark */
    byte snapshot, cut, middle, n, i;
    do
    :: d_step { length == 0 || (list[0] >= BUILDING && list[0] < FLOOR) ->
           if :: length == 0 -> length = 1 :: else fi;
           list[0] = BUILDING + _pid
       }
       snapshot = committed;
       atomic { /* FILL: floor cut, then entries cut + 1 to snapshot, with a floor behind one of them, or none (0) */
           cut = 0;
           do :: cut < snapshot -> cut++ :: break od;
           middle = cut;
           do :: middle < snapshot -> middle++ :: break od;
           n = snapshot - cut + (middle > cut);
           if
           :: d_step { list[0] == BUILDING + _pid && length + n <= ROOM ->
                  for (i : 1 .. length - 1) { list[length + n - i] = list[length - i] }
                  length = length + n;
                  due = due | ((2 << snapshot) - 1) & 14;
                  list[0] = FLOOR + cut;
                  n = 1;
                  for (i : cut + 1 .. snapshot) {
                      list[n] = i;
                      n++;
                      if :: i == middle -> list[n] = FLOOR + i; n++ :: else fi
                  }
              }
           :: true /* it is another's, or gone; or the builder gives up */
           fi;
           snapshot = 0; cut = 0; middle = 0; n = 0; i = 0
       }
    od
}

active [WORKERS] proctype worker() {
    byte x, i;
    do
    :: atomic {
           x = 1;
           do :: x < committed -> x++ :: x <= committed -> break od;
#ifdef MUTANT_PROMPT
           if :: committed > x + PROMPT -> x = LATE + x :: else fi
       }
       atomic {
#endif
           length < ROOM;
           deliver(x);
#ifdef MUTANT_PROMPT
           if :: x < BUILDING && committed > x + PROMPT -> delete_list() :: true /* it is dead */ fi;
#endif
           x = 0
       }
    od
}

active proctype environment() {
    byte i;
    do
    :: d_step { committed < IDS -> committed++ }
    :: d_step { length > 0 -> pop_left(); i = 0 } /* LTRIM */
    :: d_step { length > 0 -> delete_list(); i = 0 }
    od
}
