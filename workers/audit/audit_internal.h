/* What the audit's files share. */
#ifndef ROOKERY_WORKERS_AUDIT_AUDIT_INTERNAL_H
#define ROOKERY_WORKERS_AUDIT_AUDIT_INTERNAL_H

#include "workers/audit/audit.h"

/* ---- what SQL and Redis say (truth.c) ------------------------------------------------------------ */

/* More entries than a timeline has, so that an entry beyond its end can be distinguished from one that must not be
 * there. */
#define AUDIT_DEPTH 900

int audit_expected(struct fiber *self, struct domain *d, int64_t account_id, struct audit_view *out,
                   struct fault *fault);

/* The account's relations token, which moves when its relations change (tokens.h). */
struct audit_token {
    char text[64];
};

/* Reads it; sets one first, as a read of the timeline would, when there is none. */
int audit_relations_token(struct fiber *self, struct domain *d, int64_t account_id, struct audit_token *out,
                          struct fault *fault);

/* A session of an account, inserted in SQL as Login would. It expires after minutes, even if the audit dies. */
struct audit_session {
    int64_t account_id;
    int64_t id; /* out */
    struct str token;
};

/* Tokens are in the fiber's arena. */
int audit_sessions_open(struct fiber *self, struct domain *d, struct audit_session *sessions, size_t n,
                        struct fault *fault);
/* If this fails, the sessions expire by themselves. */
void audit_sessions_close(struct fiber *self, struct domain *d, const struct audit_session *sessions,
                          size_t n);

/* ---- several accounts at a time (truth.c) -------------------------------------------------------- */

/* A step for one account; runs in a fiber of the crew, whose arena is reset after it. */
typedef int audit_step(struct fiber *self, void *context, size_t account, struct fault *fault);

/* Runs the step for each of n accounts, several concurrently. The first error ends it. */
int audit_each(struct fiber *self, size_t n, audit_step *step, void *context, struct fault *fault);

/* ---- what gateways say (api.c) ------------------------------------------------------------------- */

/* These wait for a gateway that is unreachable, for a limited time. Several fibers may call them concurrently with
 * different n, the number of the connection. */

/* Reads the first page, of `size` entries, of the home timeline of the token's account. */
int audit_api_page(struct fiber *self, struct audit_api *api, size_t n, struct str token, int size,
                   struct audit_page *out, struct fault *fault);
/* Reads the whole timeline. Resets the fiber's arena. */
int audit_api_whole(struct fiber *self, struct audit_api *api, size_t n, struct str token,
                    struct audit_page *out, struct fault *fault);

/* began is called once, when the stream is live. */
struct audit_ear {
    void (*began)(void *arg);
    void *arg;
    struct audit_heard *heard;
};

/* Listens to the live stream until it ends or the fiber is cancelled. Returns 0 in both cases, with heard->incomplete
 * in the first, or an error when the stream could not be begun. Resets the fiber's arena. */
int audit_api_listen(struct fiber *self, struct audit_api *api, size_t n, struct str token,
                     const struct audit_ear *ear, struct fault *fault);

/* ---- live streams against SQL (live.c) ----------------------------------------------------------- */

int audit_live(struct fiber *self, struct audit *a, struct audit_account *accounts, size_t n,
               struct fault *fault);

#endif
