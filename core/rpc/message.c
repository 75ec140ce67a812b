/* Messages as a call frames them: envelopes, encoding and decoding. */
#include "core/codec/codec.h"
#include "core/rpc/rpc_internal.h"
#include "core/text/fields.h"

void rpc_put_length(char *p, size_t length) {
    p[0] = (char)(length >> 24);
    p[1] = (char)(length >> 16);
    p[2] = (char)(length >> 8);
    p[3] = (char)length;
}

size_t rpc_open_envelope(struct rpc_call *call, struct buf *out) {
    size_t at = out->len;
    if (call->protocol->enveloped) buf_append(out, "\0\0\0\0\0", 5);
    return at;
}

void rpc_close_envelope(struct rpc_call *call, struct buf *out, size_t at) {
    if (call->protocol->enveloped) rpc_put_length(out->ptr + at + 1, out->len - at - 5);
}

void rpc_append_message(struct rpc_call *call, const ProtobufCMessage *m) {
    struct buf *out = http_out(&call->http);
    size_t at = rpc_open_envelope(call, out);
    if (call->codec == RPC_JSON) {
        json_encode(m, out);
    } else {
        pb_encode(m, out);
    }
    rpc_close_envelope(call, out, at);
}

const ProtobufCMessage *rpc_decode(struct rpc_call *call, struct str bytes, struct arena *a,
                                   struct fault *fault) {
    const ProtobufCMessageDescriptor *type = call->entry->method->request;
    size_t limit = a->limit, most = a->used + RPC_DECODE_LIMIT(bytes.len);
    if (most < limit) a->limit = most;
    ProtobufCMessage *m = call->codec == RPC_JSON ? json_decode_spelled(type, bytes, a, &call->snake, fault)
                                                  : pb_decode(type, bytes, a, fault);
    a->limit = limit;
    const struct text_fields *texts = call->server->options.texts;
    if (m && texts && text_fields_apply(texts, m, a, fault) != 0) m = NULL;
    call->is_malformed = !m;
    return m;
}

size_t rpc_message_limit(const struct rpc_call *call) {
    return call->entry->max_message;
}

enum error rpc_envelope(struct rpc_call *call, bool *complete, struct fault *fault) {
    const unsigned char *p = (const unsigned char *)call->body.ptr;
    *complete = false;
    if (call->message_bytes == 0) {
        if (call->body.len < 5) return ERR_OK;
        call->is_malformed = p[0] != 0;
        if (p[0] & 1)
            return fault_set(fault, ERR_INTERNAL, "a compressed message, but no encoding was named");
        if (p[0]) return fault_set(fault, ERR_INTERNAL, "unknown flags in a message's prefix");
        size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (len > rpc_message_limit(call))
            return fault_set(fault, ERR_RESOURCE_EXHAUSTED, "a message of %zu bytes is larger than %zu", len,
                             rpc_message_limit(call));
        call->message_bytes = 5 + len;
    }
    *complete = call->body.len >= call->message_bytes;
    return ERR_OK;
}
