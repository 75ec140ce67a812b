/* Uploading a dataset.
 *
 *   1. The header creates the upload, or finds it by its key; chunks that are already stored stay.
 *   2. Bytes gather until a chunk is full; the chunk is hashed (on the thread pool) and stored, together with the
 *      state of the hash. One chunk is held in memory, and the peer is read no faster than chunks are stored.
 *   3. When the stream ends and all bytes are there, the checksum is compared, and the dataset becomes visible.
 * Failures:
 *   - the connection is cut, or the stream ends early: full chunks stay; a call with the same key continues behind
 *     them.
 *   - the checksum differs: the upload is dropped, so that nothing wrong is kept and the key may be used again.
 *   - two calls with one key: the second that stores the same chunk ends with ABORTED.
 */
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "gateway/service/job/job.h"
#include "gateway/service/service.h"

struct upload {
    struct dataset_record row;
    int64_t stored;     /* bytes in the database */
    struct buf pending; /* what follows them */
    crypto_hash_sha256_state hash;
};

struct hashing {
    crypto_hash_sha256_state *state;
    struct str bytes;
};

static void hash_on_thread(void *arg) {
    struct hashing *h = arg;
    crypto_hash_sha256_update(h->state, (const unsigned char *)h->bytes.ptr, h->bytes.len);
}

static struct str state_bytes(const crypto_hash_sha256_state *state) {
    return (struct str){(const char *)state, sizeof *state};
}

/* Stores the next chunk of pending bytes. The database's answer is freed immediately: a call may store thousands of
 * chunks. */
static int store_chunk(struct fiber *self, struct rpc_call *call, struct upload *u, size_t n) {
    struct hashing h = {&u->hash, {u->pending.ptr, n}};
    assert(n > 0 && n <= u->pending.len && u->stored % (int64_t)DATASET_CHUNK_BYTES == 0);
    int e = fiber_offload(self, hash_on_thread, &h);
    if (e == 0)
        e = dataset_append(self, &gateway_of(call)->domain, u->row.id, 0, u->stored, h.bytes,
                           state_bytes(&u->hash), rpc_fault(call));
    arena_reset(rpc_arena(call));
    if (e != 0) return e;
    u->stored += (int64_t)n;
    buf_consume(&u->pending, n);
    return 0;
}

static int take_bytes(struct fiber *self, struct rpc_call *call, struct upload *u,
                      const Rookery__V1__UploadChunk *chunk) {
    int64_t at = u->stored + (int64_t)u->pending.len;
    if (chunk->offset < 0 || chunk->offset > at)
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "chunk.offset",
                           "chunk.offset must be at most %lld, the first byte that is not here",
                           (long long)at);
    int64_t known = at - chunk->offset;
    if ((int64_t)chunk->data.len <= known) return 0;
    size_t more = chunk->data.len - (size_t)known;
    if (at + (int64_t)more > u->row.size_bytes)
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "chunk.data",
                           "the content is longer than the %lld bytes of header.size_bytes",
                           (long long)u->row.size_bytes);
    buf_append(&u->pending, chunk->data.data + known, more);
    int e = 0;
    while (e == 0 && u->pending.len >= DATASET_CHUNK_BYTES)
        e = store_chunk(self, call, u, DATASET_CHUNK_BYTES);
    return e;
}

static int take_all(struct fiber *self, struct rpc_call *call, struct upload *u) {
    for (;;) {
        const ProtobufCMessage *message;
        int e = rpc_receive(self, call, &message);
        if (e != 0 || !message) return e;
        const Rookery__V1__UploadDatasetRequest *in = (const void *)message;
        if (in->part_case != ROOKERY__V1__UPLOAD_DATASET_REQUEST__PART_CHUNK)
            return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "chunk",
                               "every message after the first must be a chunk");
        e = take_bytes(self, call, u, in->chunk);
        if (e != 0) return e;
    }
}

static int compare_checksum(struct fiber *self, struct rpc_call *call, struct upload *u,
                            const unsigned char *wanted) {
    unsigned char got[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof got + 1];
    crypto_hash_sha256_final(&u->hash, got);
    if (memcmp(got, wanted, sizeof got) == 0) return 0;
    int e = dataset_drop_upload(self, &gateway_of(call)->domain, u->row.id, rpc_fault(call));
    if (e != 0) return e;
    return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "header.sha256",
                       "the content's SHA-256 is %s, not header.sha256: the upload was dropped",
                       sodium_bin2hex(hex, sizeof hex, got, sizeof got));
}

static int finish(struct fiber *self, struct rpc_call *call, struct upload *u, const unsigned char *sha256) {
    int64_t have = u->stored + (int64_t)u->pending.len;
    if (have < u->row.size_bytes)
        return fault_field(
            rpc_fault(call), ERR_INVALID_ARGUMENT, "chunk",
            "the stream ended after %lld of %lld bytes; the same idempotency_key goes on from %lld",
            (long long)have, (long long)u->row.size_bytes, (long long)u->stored);
    int e = u->pending.len > 0 ? store_chunk(self, call, u, u->pending.len) : 0;
    if (e == 0) e = compare_checksum(self, call, u, sha256);
    if (e == 0) e = dataset_complete(self, &gateway_of(call)->domain, u->row.id, 0, rpc_fault(call));
    return e;
}

/* The bytes, for an upload that is not complete. */
static int fill(struct fiber *self, struct rpc_call *call, struct upload *u) {
    unsigned char sha256[crypto_hash_sha256_BYTES];
    memcpy(sha256, u->row.sha256.ptr, sizeof sha256);
    u->stored = u->row.received_bytes;
    crypto_hash_sha256_init(&u->hash);
    if (u->row.hash_state.len == sizeof u->hash) memcpy(&u->hash, u->row.hash_state.ptr, sizeof u->hash);
    int e = take_all(self, call, u);
    return e != 0 ? e : finish(self, call, u, sha256);
}

static int begin(struct fiber *self, struct rpc_call *call, struct upload *u) {
    const ProtobufCMessage *message;
    int e = rpc_receive(self, call, &message);
    if (e != 0) return e;
    const Rookery__V1__UploadDatasetRequest *in = (const void *)message;
    if (!in || in->part_case != ROOKERY__V1__UPLOAD_DATASET_REQUEST__PART_HEADER)
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "header",
                           "the first message must be the header");
    const Rookery__V1__UploadHeader *h = in->header;
    struct dataset_draft draft = {
        .owner_id = caller_of(call),
        .name = str_from(h->name),
        .idempotency_key = str_from(h->idempotency_key),
        .dialect = h->dialect,
        .source = ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD,
        .size_bytes = h->size_bytes,
        .sha256 = {(const char *)h->sha256.data, h->sha256.len},
    };
    return dataset_create(self, &gateway_of(call)->domain, &draft, &u->row, rpc_fault(call));
}

int job_service_upload_dataset(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    (void)request;
    struct gateway *g = gateway_of(call);
    struct upload u = {0};
    int e = begin(self, call, &u);
    if (e != 0) return e;
    int64_t id = u.row.id;
    if (u.row.state == ROOKERY__V1__DATASET_STATE__DATASET_STATE_FILLING) e = fill(self, call, &u);
    buf_free(&u.pending);
    struct dataset_record done;
    if (e == 0) e = dataset_get(self, &g->domain, caller_of(call), id, &done, rpc_fault(call));
    if (e != 0) return e;
    Rookery__V1__UploadDatasetResponse reply = ROOKERY__V1__UPLOAD_DATASET_RESPONSE__INIT;
    reply.dataset = job_shape_dataset(rpc_arena(call), &done);
    rpc_reply(call, &reply.base);
    return 0;
}

int job_service_get_upload(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct dataset_record row;
    int e = dataset_upload_find(self, &gateway_of(call)->domain, caller_of(call),
                                str_from(REQUEST(GetUploadRequest)->idempotency_key), &row, rpc_fault(call));
    if (e != 0) return e;
    Rookery__V1__GetUploadResponse reply = ROOKERY__V1__GET_UPLOAD_RESPONSE__INIT;
    reply.dataset_id = row.id;
    reply.next_offset = row.received_bytes;
    reply.complete = row.state != ROOKERY__V1__DATASET_STATE__DATASET_STATE_FILLING;
    rpc_reply(call, &reply.base);
    return 0;
}
