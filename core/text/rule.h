/* What a text of a request must be. The .proto files say it for each field (rookery/v1/options.proto); here one rule
 * is held against one text, which is put in its normal form. */
#ifndef ROOKERY_CORE_TEXT_RULE_H
#define ROOKERY_CORE_TEXT_RULE_H

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/str.h"

/* The most bytes of one character (extended grapheme cluster), in NFC. A family of six with skin tones has 63, a
 * letter with the 30 marks of the Stream-Safe Text Format (UAX #15) 62. Without such a bound a character could have
 * marks without end; and a page of 100 posts of 500 characters must stay below the 4 MiB that gRPC clients take. */
#define TEXT_CHARACTER_BYTES 64
/* The same for a text as it is sent, on average: composing takes no more than a few bytes off a character. */
#define TEXT_SENT_CHARACTER_BYTES (2 * TEXT_CHARACTER_BYTES)
/* How much longer a password may be as it is sent: a text in NFD is at most three times as long as in NFC, and a blank
 * of three bytes becomes one. */
#define TEXT_SENT_PASSWORD_RATIO 4

/* As enum NormalForm in rookery/v1/options.proto, which says what each is. */
enum text_form { TEXT_AS_IS = 1, TEXT_HANDLE, TEXT_LINE, TEXT_LINES, TEXT_FREE, TEXT_PASSWORD };

struct text_rule {
    enum text_form form;
    uint32_t min_characters, max_characters; /* grapheme clusters; min > 0: not blank; max 0: no bound */
    uint32_t min_bytes,
        max_bytes;     /* of TEXT_AS_IS, of the normal form of TEXT_PASSWORD; max_bytes of the other
                                    * texts too, in their form; 0: no bound */
    bool may_be_empty; /* whatever the least is */
};

/* 0, and *out is the text in its normal form: raw itself (TEXT_AS_IS, and what is empty), or in the arena and
 * NUL-terminated. ERR_INVALID_ARGUMENT, and *why says what would be right, to stand behind the field's name: "must be
 * 1 to 50 characters, this has 51". ERR_RESOURCE_EXHAUSTED when the arena's limit would be passed. Time and memory
 * are linear in what the rule allows, not in raw. */
enum error text_rule_apply(const struct text_rule *rule, struct arena *a, struct str raw, struct str *out,
                           const char **why);

#endif
