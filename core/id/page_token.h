/* Page tokens: opaque, stable, and valid for one list only.
 *
 * A token holds up to three numbers (where the page ended) with a keyed 8-byte MAC, which covers them and the list.
 * So a made-up or altered token, or one of another list, is refused. Any process with the same secret can read it.
 */
#ifndef ROOKERY_CORE_ID_PAGE_TOKEN_H
#define ROOKERY_CORE_ID_PAGE_TOKEN_H

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/str.h"

#define PAGE_TOKEN_KEY_BYTES 16

struct page_position {
    int64_t list;    /* which list: a kind, mixed by the caller with the object's id */
    int64_t a, b, c; /* where the next page starts */
};

/* NUL-terminated, in the arena. */
char *page_token_encode(struct arena *a, const unsigned char key[static PAGE_TOKEN_KEY_BYTES],
                        const struct page_position *p);
/* Returns 0, or ERR_INVALID_ARGUMENT about "page_token". list must equal the token's. The caller handles the empty
 * token, which asks for the first page: here it is refused. */
int page_token_decode(const unsigned char key[static PAGE_TOKEN_KEY_BYTES], struct str token, int64_t list,
                      struct page_position *out, struct fault *fault);

/* page_size as the API defines it everywhere: 0 means 20; 1 to 100; else ERR_INVALID_ARGUMENT about "page_size". */
int page_size_check(int64_t asked, int *out, struct fault *fault);

#endif
