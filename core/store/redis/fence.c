/* Fences: one PING for all fibers that call in one turn.
 *
 * 1. The first caller of a turn submits a PING, and r->fence is set to it.
 * 2. Others join while the PING is queued: they called before it was sent.
 * 3. At the turn's end it is sent. A later caller begins another.
 * 4. Its reply, or its loss, wakes all the callers. The last of them to leave frees it; if all were interrupted
 *    before, the reply does.
 */
#include <stdlib.h>

#include "core/store/redis/redis_internal.h"

struct redis_fence {
    struct redis_batch *batch;
    struct condition done;
    size_t waiting;
    bool over;
    int result;
};

static void on_answer(struct redis *r, struct redis_batch *b) {
    struct redis_fence *f = b->fence;
    if (r->fence == f) r->fence = NULL;
    f->over = true;
    f->result = b->result != 0 ? b->result : redis_batch_check(b, NULL);
    redis_batch_give_back(r, b);
    f->batch = NULL;
    if (f->waiting == 0)
        free(f);
    else
        condition_broadcast(&f->done);
}

static int begin(struct redis *r) {
    struct redis_fence *f = calloc(1, sizeof *f);
    if (!f) return ERR_OVERLOADED;
    condition_init(&f->done);
    f->batch = redis_batch_borrow(r);
    f->batch->fence = f;
    f->batch->on_done = on_answer;
    redis_cmd(f->batch, 1);
    redis_arg(f->batch, STR("PING"));
    int e = redis_submit(r, f->batch);
    if (e != 0) {
        redis_batch_free(f->batch);
        free(f);
        return e;
    }
    r->fence = f;
    return 0;
}

int redis_fence(struct fiber *self, struct redis *r) {
    int e = 0;
    if (!r->fence || r->fence->batch->state != BATCH_QUEUED) e = begin(r);
    if (e != 0) return e;
    struct redis_fence *f = r->fence;
    f->waiting++;
    while (!f->over && e == 0) e = condition_wait(self, &f->done);
    if (f->over) e = f->result;
    if (--f->waiting == 0 && f->over) free(f);
    return e;
}
