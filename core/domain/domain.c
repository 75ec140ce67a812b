/* What all domain functions share. */
#include "core/domain/domain.h"

#include <assert.h>

int64_t domain_now_ms(const struct domain *d) {
    return lease_now_ms(d->lease);
}

int domain_next_id(struct domain *d, int64_t *id, struct fault *fault) {
    *id = lease_next_id(d->lease);
    assert(*id >= 0);
    if (*id != 0) return 0;
    return fault_set(fault, ERR_UNAVAILABLE, "this process holds no node number at the moment: try again");
}

int domain_send(struct fiber *self, struct domain *d, struct redis_batch *b) {
    int e = redis_exchange(self, d->redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e; /* the client has taken the batch */
    if (e == 0) e = redis_batch_check(b, NULL);
    redis_batch_give_back(d->redis, b);
    return e;
}
