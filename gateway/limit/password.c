/* Checks of passwords: see password.h. Everything but the wait for a place is decided without suspending, and a guess
 * is counted before that wait, so guesses that are made at the same time cannot pass together. */
#include "gateway/limit/password.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/limit/limit.h"
#include "gateway/limit/limit.h"

/* Waiting for a place: in all, and of one network. More would wait for longer than clients do. */
#define WAITING_MAX 1024
#define WAITING_OF_NETWORK 64
#define RETRY_MS 2000
/* Longest wait for a place: who is behind a flood of their own hears that, not that a deadline has passed. */
#define PATIENCE_MS 4000

struct passwords {
    struct gateway *gateway;
    struct guesses *guesses;
    struct fair places;
    struct counter *wrong, *slowed, *crowded;
    struct gauge *waiting;
};

struct passwords *passwords_new(struct gateway *g) {
    struct metrics *m = g->domain.metrics;
    struct passwords *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->gateway = g;
    p->guesses = guesses_new(LIMIT_KEYS);
    if (!p->guesses) {
        free(p);
        return NULL;
    }
    fair_init(&p->places, (size_t)g->domain.config->password_checks, WAITING_MAX, WAITING_OF_NETWORK);
    p->wrong = metrics_counter(m, "rookery_logins_wrong_total", "Logins with a wrong handle or password", "");
    p->slowed = metrics_counter(m, "rookery_logins_slowed_total",
                                "Logins refused because of wrong passwords before them", "");
    p->crowded = metrics_counter(m, "rookery_password_checks_refused_total",
                                 "Password checks refused because too many waited", "");
    limits_report(g->limits, "logins_slowed", p->slowed);
    limits_report(g->limits, "password_checks", p->crowded);
    p->waiting =
        metrics_gauge(m, "rookery_password_checks_waiting", "Password checks waiting for a place", "");
    return p;
}

void passwords_free(struct passwords *p) {
    if (!p) return;
    fair_free(&p->places);
    guesses_free(p->guesses);
    free(p);
}

/* ---- places -------------------------------------------------------------------------------------------- */

/* Returns as fair_enter, with ERR_OVERLOADED when the patience ends before the fiber's own deadline. */
static int enter_in_time(struct fiber *self, struct passwords *p, uint64_t network) {
    int64_t own_ns = fiber_deadline_ns(self);
    int64_t end_ns = loop_now_ns(fiber_loop(self)) + PATIENCE_MS * NS_PER_MS;
    bool is_earlier = own_ns == 0 || end_ns < own_ns;
    if (is_earlier) fiber_set_deadline_ns(self, end_ns);
    int e = fair_enter(self, &p->places, network);
    fiber_set_deadline_ns(self, own_ns);
    return e == ERR_DEADLINE_EXCEEDED && is_earlier ? ERR_OVERLOADED : e;
}

int passwords_enter(struct fiber *self, struct passwords *p, uint64_t network, struct fault *fault) {
    p->waiting->value++;
    int e = enter_in_time(self, p, network);
    p->waiting->value--;
    if (e != ERR_OVERLOADED) return e;
    p->crowded->value++;
    fault_set(fault, ERR_RESOURCE_EXHAUSTED, "too many passwords are being checked: try again");
    fault->retry_after_ms = RETRY_MS;
    return ERR_RESOURCE_EXHAUSTED;
}

void passwords_leave(struct passwords *p) {
    fair_leave(&p->places);
}

/* ---- logins -------------------------------------------------------------------------------------------- */

/* *by_account: it was taken from the account's limit, since the network's is used up. */
static int take_login(struct passwords *p, const struct guess *guess, bool *by_account, struct fault *fault) {
    struct limits *l = p->gateway->limits;
    int e = limits_network(l, LIMIT_LOGINS, guess->network, fault);
    *by_account = e != 0 && guess_is_known(p->guesses, guess);
    return *by_account ? limits_account(l, LIMIT_PASSWORD, (int64_t)guess->account, fault) : e;
}

/* A login that is refused behind it takes nothing: else a neighbour's refused ones would use up the owner's. */
static void give_back_login(struct passwords *p, const struct guess *guess, bool by_account) {
    struct limits *l = p->gateway->limits;
    if (by_account)
        limits_account_give_back(l, LIMIT_PASSWORD, (int64_t)guess->account);
    else
        limits_network_give_back(l, LIMIT_LOGINS, guess->network);
}

static int take_guess(struct passwords *p, struct guess *guess, struct fault *fault) {
    int64_t wait_ns = guess_begin(p->guesses, guess, loop_now_ns(p->gateway->domain.loop));
    if (wait_ns == 0) return 0;
    p->slowed->value++;
    fault_set(fault, ERR_RESOURCE_EXHAUSTED,
              "too many wrong passwords for this handle from this network: try again later");
    fault->retry_after_ms = wait_ns / NS_PER_MS + 1;
    return ERR_RESOURCE_EXHAUSTED;
}

int passwords_login_begin(struct fiber *self, struct passwords *p, struct str handle, uint64_t network,
                          struct guess *guess, struct fault *fault) {
    *guess = (struct guess){.account = guesses_account(p->guesses, handle), .network = network};
    bool by_account;
    int e = take_login(p, guess, &by_account, fault);
    if (e != 0) return e;
    e = take_guess(p, guess, fault);
    if (e == 0) {
        e = passwords_enter(self, p, network, fault);
        if (e != 0) guess_void(p->guesses, guess);
    }
    if (e != 0) give_back_login(p, guess, by_account);
    return e;
}

void passwords_login_end(struct passwords *p, const struct guess *guess, int result) {
    passwords_leave(p);
    if (result == 0) {
        guess_right(p->guesses, guess);
    } else if (result == ERR_UNAUTHENTICATED) {
        p->wrong->value++;
        guess_wrong(p->guesses, guess);
    } else if (result != ERR_CANCELLED) { /* or hanging up would make guessing free */
        guess_void(p->guesses, guess);
    }
}

/* ---- registrations ------------------------------------------------------------------------------------- */

int passwords_register_begin(struct fiber *self, struct passwords *p, uint64_t network, struct fault *fault) {
    int e = limits_network(p->gateway->limits, LIMIT_REGISTRATIONS, network, fault);
    return e != 0 ? e : passwords_enter(self, p, network, fault);
}

void passwords_register_end(struct passwords *p, struct str handle, uint64_t network, int result) {
    passwords_leave(p);
    if (result == 0) guess_note_known(p->guesses, guesses_account(p->guesses, handle), network);
}
