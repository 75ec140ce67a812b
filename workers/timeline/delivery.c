/* The state of the roles that deliver. */
#include "workers/timeline/delivery.h"

#include <stdlib.h>

static void delivery_close(void *state) {
    struct delivery *d = state;
    if (d->deliverer) deliverer_free(d->deliverer);
    if (d->followers) followers_free(d->followers);
    free(d);
}

static void *delivery_open(struct domain *domain) {
    struct delivery *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->followers = followers_new(domain);
    d->deliverer = deliverer_new(domain);
    if (d->followers && d->deliverer) return d;
    delivery_close(d);
    return NULL;
}

static void delivery_forget(void *state) {
    followers_forget(((struct delivery *)state)->followers);
}

const struct role_state DELIVERY = {
    .open = delivery_open, .close = delivery_close, .forget = delivery_forget};
