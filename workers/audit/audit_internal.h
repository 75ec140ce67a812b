/* What the audit's files share. */
#ifndef ROOKERY_WORKERS_AUDIT_AUDIT_INTERNAL_H
#define ROOKERY_WORKERS_AUDIT_AUDIT_INTERNAL_H

#include "workers/audit/audit.h"

/* ---- what SQL and Redis say (truth.c) ------------------------------------------------------------ */

/* More entries than a timeline has, so that one that is at its end can be told from one that must not be there. */
#define AUDIT_DEPTH 900

int audit_expected(struct fiber *self, struct domain *d, int64_t account_id, struct audit_view *out,
                   struct fault *fault);

/* What moves when the account's relations do (tokens.h). */
struct audit_token {
    char text[64];
};

/* Sets one, as a read would, when there is none. */
int audit_relations_token(struct fiber *self, struct domain *d, int64_t account_id, struct audit_token *out,
                          struct fault *fault);

/* A session of an account, put in SQL as Login would, with a life of minutes whatever becomes of the audit. */
struct audit_session {
    int64_t account_id;
    int64_t id; /* out */
    struct str token;
};

/* Tokens are in the fiber's arena. */
int audit_sessions_open(struct fiber *self, struct domain *d, struct audit_session *sessions, size_t n,
                        struct fault *fault);
/* If it fails they end by themselves. */
void audit_sessions_close(struct fiber *self, struct domain *d, const struct audit_session *sessions,
                          size_t n);

/* ---- several accounts at a time (truth.c) -------------------------------------------------------- */

/* A step for one account; runs in a fiber of the crew, whose arena is reset after it. */
typedef int audit_step(struct fiber *self, void *context, size_t account, struct fault *fault);

/* The step for each of n accounts, several at a time. The first error ends it. */
int audit_each(struct fiber *self, size_t n, audit_step *step, void *context, struct fault *fault);

/* ---- what gateways say (api.c) ------------------------------------------------------------------- */

/* These wait for a gateway that is away, for so long as the audit's patience lasts. They may be called from several
 * fibers at once, with different n: which connection is used. */

/* The first page of so many entries of the timeline that the token's account has. */
int audit_api_page(struct fiber *self, struct audit_api *api, size_t n, struct str token, int size,
                   struct audit_page *out, struct fault *fault);
/* The whole timeline. Resets the fiber's arena. */
int audit_api_whole(struct fiber *self, struct audit_api *api, size_t n, struct str token,
                    struct audit_page *out, struct fault *fault);

/* began is called once, when the stream is live. */
struct audit_ear {
    void (*began)(void *arg);
    void *arg;
    struct audit_heard *heard;
};

/* Listens to the live stream until it ends or the fiber is cancelled: 0 in both cases, heard->incomplete in the first. An
 * error when it could not be begun. Resets the fiber's arena. */
int audit_api_listen(struct fiber *self, struct audit_api *api, size_t n, struct str token,
                     const struct audit_ear *ear, struct fault *fault);

/* ---- live streams against SQL (live.c) ----------------------------------------------------------- */

int audit_live(struct fiber *self, struct audit *a, struct audit_account *accounts, size_t n,
               struct fault *fault);

#endif
