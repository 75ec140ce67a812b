/* Datasets: CSVs that jobs read. Story: dataset.c.
 *
 * Its owner and the accounts it is shared with may see a dataset. For other accounts every function that takes an
 * account returns NOT_FOUND. Only dataset_upload_find shows an upload in progress.
 */
#ifndef ROOKERY_CORE_DOMAIN_JOB_DATASET_H
#define ROOKERY_CORE_DOMAIN_JOB_DATASET_H

#include "core/domain/domain.h"
#include "rookery/v1/job.pb-c.h"

/* Every chunk but a dataset's last has this size: so the number of stored bytes shows where an upload continues. */
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
    struct str hash_state; /* of an upload: as dataset_append last stored it; empty at first */
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

/* Begins a dataset, or finds it by its key. Publishes the first step of a query. INVALID_ARGUMENT (by field),
 * RESOURCE_EXHAUSTED (naming the limit), FAILED_PRECONDITION (the key was used for other content), PERMISSION_DENIED
 * (a query, and the account is not an analyst). */
int dataset_create(struct fiber *self, struct domain *d, const struct dataset_draft *draft,
                   struct dataset_record *out, struct fault *fault);
/* The caller's upload with this key, complete or not. NOT_FOUND. */
int dataset_upload_find(struct fiber *self, struct domain *d, int64_t owner_id, struct str key,
                        struct dataset_record *out, struct fault *fault);
/* Appends a chunk at offset: DATASET_CHUNK_BYTES, or the rest. hash_state is kept with it (may be empty). attempt:
 * for a query, which of the attempts to fill it this is; for an upload 0. ABORTED when another caller has written
 * there, has begun another attempt, or has dropped the dataset. */
int dataset_append(struct fiber *self, struct domain *d, int64_t id, int64_t attempt, int64_t offset,
                   struct str bytes, struct str hash_state, struct fault *fault);
/* All bytes have been appended: makes it visible, and publishes the step that describes it. Idempotent. */
int dataset_complete(struct fiber *self, struct domain *d, int64_t id, int64_t attempt, struct fault *fault);
/* Drops an upload that is not complete. */
int dataset_drop_upload(struct fiber *self, struct domain *d, int64_t id, struct fault *fault);

/* NOT_FOUND (dataset_id). */
int dataset_get(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t id,
                struct dataset_record *out, struct fault *fault);
/* Newest first, id < before. In the fiber's arena, without columns and query. */
int dataset_list(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t before, int limit,
                 struct dataset_record **out, size_t *n, struct fault *fault);
/* The accounts it is shared with, sorted. */
int dataset_shares(struct fiber *self, struct domain *d, int64_t id, int64_t **out, size_t *n,
                   struct fault *fault);
/* Idempotent. NOT_FOUND (dataset_id: also for accounts it is only shared with; account_id), RESOURCE_EXHAUSTED,
 * PERMISSION_DENIED when one of the two accounts has blocked the other. */
int dataset_share(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, int64_t account_id,
                  struct fault *fault);
int dataset_unshare(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, int64_t account_id,
                    struct fault *fault);
/* NOT_FOUND: also when another account owns it. */
int dataset_delete(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault);

/* A chunk's bytes, or the empty string behind the last. Checks no permission. */
int dataset_chunk(struct fiber *self, struct domain *d, int64_t id, int64_t seq, struct str *out,
                  struct fault *fault);

#endif
