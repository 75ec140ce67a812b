/* Parses the head of an HTTP/1.1 request (RFC 9112), strictly. Pure: bytes in, verdict out.
 *
 * A head that two parsers could read in two ways is refused, since a proxy before us may have read it the other way
 * (request smuggling): Content-Length with Transfer-Encoding, two Content-Lengths, folded lines, blanks before a
 * colon, bare CR or LF, transfer codings other than exactly "chunked", a Host that is missing, empty, no host or given
 * twice.
 */
#ifndef ROOKERY_CORE_HTTP_HTTP1_PARSE_H
#define ROOKERY_CORE_HTTP_HTTP1_PARSE_H

#include "core/http/http.h"

struct http1_head {
    enum http_method method;
    struct str target; /* origin form: path and query */
    int minor;         /* HTTP/1.0 or 1.1 */
    bool keep_alive, chunked, expect_continue;
    int64_t content_length; /* -1 when there is none */
    const char *why;        /* of a refusal: a sentence for the client */
};

/* head: from the request line through the empty line. Appends the fields to *fields, names in lower case. Returns 0,
 * or the HTTP status of the refusal: 400, 417, 431, 501, 505. */
int http1_parse_head(struct str head, struct http1_head *out, struct http_fields *fields);

/* Parses a chunk-size line without its CRLF: hexadecimal digits, then extensions, which are ignored. Returns false
 * when it is anything else. */
bool http1_parse_chunk_size(struct str line, uint64_t *out);

/* Whether a request may begin with this byte. */
bool http1_may_begin(char c);

/* Whether a line, without its CRLF, is a header field or trailer: a token, a colon, a value. */
bool http1_is_field(struct str line);

#endif
