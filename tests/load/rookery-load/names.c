/* Handles and texts from word lists: readable, and the same for the same number or seed. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "load.h"

/* At most 9 letters each: with the number's 9 digits and two underscores a handle has at most 29. */
static const char *const ADJECTIVES[] = {
    "amber",   "ancient", "autumn",   "bold",    "brave",  "bright", "calm",   "cheerful",
    "clever",  "coastal", "copper",   "curious", "daring", "dapper", "eager",  "early",
    "fabled",  "fair",    "feathery", "fleet",   "frosty", "gentle", "glad",   "golden",
    "grand",   "hardy",   "honest",   "icy",     "jolly",  "keen",   "kind",   "lively",
    "lucky",   "mellow",  "merry",    "misty",   "modest", "nimble", "noble",  "northern",
    "patient", "placid",  "plucky",   "polar",   "polite", "proud",  "quick",  "quiet",
    "ready",   "rosy",    "royal",    "rustic",  "sandy",  "serene", "silver", "snowy",
    "spry",    "steady",  "stormy",   "sunny",   "swift",  "tidy",   "velvet", "windy",
};
static const char *const NOUNS[] = {
    "albatross", "auk",     "avocet",  "bittern", "bunting", "buzzard",  "condor",  "coot",
    "cormorant", "crane",   "crow",    "curlew",  "dipper",  "dotterel", "dove",    "dunlin",
    "eagle",     "egret",   "eider",   "falcon",  "finch",   "gannet",   "godwit",  "goshawk",
    "grebe",     "gull",    "harrier", "heron",   "hobby",   "ibis",     "jackdaw", "jay",
    "kestrel",   "kite",    "lapwing", "lark",    "linnet",  "magpie",   "merlin",  "osprey",
    "owl",       "pelican", "penguin", "petrel",  "pipit",   "plover",   "puffin",  "quail",
    "raven",     "redwing", "robin",   "rook",    "skua",    "snipe",    "sparrow", "starling",
    "stork",     "swallow", "swan",    "swift",   "teal",    "tern",     "thrush",  "wren",
};
#define N_ADJECTIVES (sizeof ADJECTIVES / sizeof *ADJECTIVES)
#define N_NOUNS (sizeof NOUNS / sizeof *NOUNS)

/* Neighbouring numbers get unlike words. */
static uint64_t scrambled(int64_t number) {
    struct chance c = {(uint64_t)number};
    return chance_u64(&c);
}

static const char *capital(const char *word, char out[static 12]) {
    snprintf(out, 12, "%s", word);
    out[0] = (char)toupper((unsigned char)out[0]);
    return out;
}

void name_of(int64_t number, char handle[static NAME_MAX_BYTES], char display_name[static NAME_MAX_BYTES]) {
    uint64_t mixed = scrambled(number);
    const char *adjective = ADJECTIVES[mixed % N_ADJECTIVES], *noun = NOUNS[(mixed >> 32) % N_NOUNS];
    char first[12], second[12];
    snprintf(handle, NAME_MAX_BYTES, "%s_%s_%" PRId64, adjective, noun, number);
    snprintf(display_name, NAME_MAX_BYTES, "%s %s", capital(adjective, first), capital(noun, second));
}

static const char *const WORDS[] = {
    "the",    "a",        "tide",  "wind",  "today", "again",   "over",   "under",  "harbour",
    "island", "watching", "flock", "came",  "early", "late",    "north",  "south",  "nest",
    "egg",    "cliff",    "first", "light", "rain",  "fish",    "many",   "few",    "with",
    "and",    "then",     "still", "here",  "there", "calling", "winter", "spring", "long",
};
static const char *const TAGS[] = {"#birds",   "#sea",     "#weather", "#migration",
                                   "#rookery", "#morning", "#photo"};
#define N_WORDS (sizeof WORDS / sizeof *WORDS)
#define N_TAGS (sizeof TAGS / sizeof *TAGS)

size_t text_of(struct chance *c, char out[static TEXT_MAX_BYTES]) {
    size_t words = 4 + chance_below(c, 24), len = 0;
    for (size_t i = 0; i < words; i++)
        len += (size_t)snprintf(out + len, TEXT_MAX_BYTES - len, i ? " %s" : "%s",
                                WORDS[chance_below(c, N_WORDS)]);
    if (chance_below(c, 4) == 0)
        len += (size_t)snprintf(out + len, TEXT_MAX_BYTES - len, " %s", TAGS[chance_below(c, N_TAGS)]);
    return len;
}
