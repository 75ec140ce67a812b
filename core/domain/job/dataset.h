/* Datasets: CSVs that jobs read. Story: dataset.c.
 *
 * Who may see one: its owner, and those it is shared with. To everybody else, and in every function that takes an
 * account, it is NOT_FOUND. An upload in progress is seen by nobody but through dataset_upload_find.
 */
#ifndef ROOKERY_CORE_DOMAIN_JOB_DATASET_H
#define ROOKERY_CORE_DOMAIN_JOB_DATASET_H

#include "core/domain/domain.h"
#include "rookery/v1/job.pb-c.h"

/* Every chunk but a dataset's last has this size: so the bytes that are stored say where an upload goes on. */
#define DATASET_CHUNK_BYTES ((size_t)256 * 1024)
/* Accounts a dataset may be shared with. */
#define DATASET_SHARES_MAX 100

struct dataset_record {
    int64_t id, owner_id;
    struct str name;
    Rookery__V1__DatasetSource source;
    Rookery__V1__DatasetState state;
    int64_t size_bytes, received_bytes, row_count;
    struct str sha256;     /* of an upload: of the whole content, as its header said */
    struct str hash_state; /* of an upload: what dataset_append was given last; empty at first */
    struct str dialect;    /* encoded CsvDialect */
    struct str query;
    struct str columns; /* encoded DescribeDatasetResponse with its columns only; empty before it is ready */
    struct str error;
};

/* Texts and bytes are what job.proto asks for (the rules behind decoding): sha256 has 32 bytes. */
struct dataset_draft {
    int64_t owner_id;
    struct str name, idempotency_key;
    const Rookery__V1__CsvDialect *dialect; /* NULL: the default one */
    Rookery__V1__DatasetSource source;
    int64_t size_bytes; /* of an upload */
    struct str sha256;
    struct str query; /* of a query, and of engagement */
};

/* Begins, or finds by its key. A query's first step is put on the streams. INVALID_ARGUMENT (by field),
 * RESOURCE_EXHAUSTED (naming the limit), FAILED_PRECONDITION (the key was used for other content),
 * PERMISSION_DENIED (a query by somebody who is no analyst). */
int dataset_create(struct fiber *self, struct domain *d, const struct dataset_draft *draft,
                   struct dataset_record *out, struct fault *fault);
/* The caller's upload with this key, complete or not. NOT_FOUND. */
int dataset_upload_find(struct fiber *self, struct domain *d, int64_t owner_id, struct str key,
                        struct dataset_record *out, struct fault *fault);
/* Appends a chunk at offset: DATASET_CHUNK_BYTES, or the rest. hash_state is kept with it (may be empty). attempt: of
 * a query, which of the attempts to fill it this is; of an upload 0. ABORTED when somebody else has written there, is
 * at another attempt, or has dropped it. */
int dataset_append(struct fiber *self, struct domain *d, int64_t id, int64_t attempt, int64_t offset,
                   struct str bytes, struct str hash_state, struct fault *fault);
/* All bytes are there: from here on it is visible, and about to be described. Idempotent. */
int dataset_complete(struct fiber *self, struct domain *d, int64_t id, int64_t attempt, struct fault *fault);
/* Drops an upload that is not complete. */
int dataset_drop_upload(struct fiber *self, struct domain *d, int64_t id, struct fault *fault);

/* NOT_FOUND (dataset_id). */
int dataset_get(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t id,
                struct dataset_record *out, struct fault *fault);
/* Newest first, id < before. In the fiber's arena, without columns and query. */
int dataset_list(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t before, int limit,
                 struct dataset_record **out, size_t *n, struct fault *fault);
/* Whom it is shared with, ascending. */
int dataset_shares(struct fiber *self, struct domain *d, int64_t id, int64_t **out, size_t *n,
                   struct fault *fault);
/* Idempotent. NOT_FOUND (dataset_id: also for whom it is only shared with; account_id), RESOURCE_EXHAUSTED,
 * PERMISSION_DENIED when one of the two accounts has blocked the other. */
int dataset_share(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, int64_t account_id,
                  struct fault *fault);
int dataset_unshare(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, int64_t account_id,
                    struct fault *fault);
/* NOT_FOUND: also when it is somebody else's. */
int dataset_delete(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault);

/* A chunk's bytes, or the empty string behind the last. No check of who asks. */
int dataset_chunk(struct fiber *self, struct domain *d, int64_t id, int64_t seq, struct str *out,
                  struct fault *fault);

#endif
