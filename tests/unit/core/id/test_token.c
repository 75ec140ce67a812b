/* Session tokens and password hashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/id/token.h"

/* The least that argon2id takes, so that the tests are quick. */
enum { MEMORY_KIB = 8, PASSES = 1 };
static const unsigned char KEY[TOKEN_KEY_BYTES] = "sixteen bytes:)";

static int set_up(void **state) {
    (void)state;
    return token_init() ? 0 : -1;
}

static void makes_tokens_that_differ(void **state) {
    (void)state;
    struct arena a;
    struct str tokens[50], bytes;
    arena_init(&a, 0);
    for (size_t i = 0; i < 50; i++) {
        tokens[i] = token_new(&a, i % 2 ? KEY : NULL);
        assert_int_equal(tokens[i].len, 43);
        assert_int_equal(
            strspn(tokens[i].ptr, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
        assert_true(base64_decode(&a, tokens[i], &bytes));
        assert_int_equal(bytes.len, 32);
        for (size_t k = 0; k < i; k++) assert_false(str_eq(tokens[i], tokens[k]));
    }
    arena_free(&a);
}

static void knows_the_tokens_that_it_marked(void **state) {
    (void)state;
    struct arena a;
    unsigned char other[TOKEN_KEY_BYTES] = {1};
    arena_init(&a, 0);
    struct str token = token_new(&a, KEY);
    assert_int_not_equal(token_mark(token, KEY), 0);
    assert_int_equal(token_mark(token, other), 0);
    assert_int_equal(token_mark(token_new(&a, NULL), KEY), 0);
    assert_int_equal(token_mark((struct str){token.ptr, 42}, KEY), 0);
    assert_int_equal(token_mark(STR(""), KEY), 0);
    char changed[44];
    for (size_t i = 0; i < 43; i++) {
        memcpy(changed, token.ptr, 43);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(token_mark((struct str){changed, 43}, KEY), 0);
    }
    memcpy(changed, token.ptr, 43);
    changed[7] = '=';
    assert_int_equal(token_mark((struct str){changed, 43}, KEY), 0);
    arena_free(&a);
}

static void hashes_a_token_by_sha_256(void **state) {
    (void)state;
    unsigned char hash[TOKEN_HASH_BYTES], other[TOKEN_HASH_BYTES];
    token_hash(hash, STR("abc")); /* FIPS 180-2's example */
    assert_memory_equal(hash,
                        "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
                        "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad",
                        32);
    memcpy(other, hash, sizeof(hash));
    assert_true(token_hash_equal(hash, other));
    other[31] ^= 1;
    assert_false(token_hash_equal(hash, other));
    token_hash(other, (struct str){NULL, 0});
    assert_false(token_hash_equal(hash, other));
}

static void verifies_only_the_right_password(void **state) {
    (void)state;
    char hash[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX];
    assert_true(password_hash(hash, STR("correct horse"), MEMORY_KIB, PASSES));
    assert_true(password_hash(again, STR("correct horse"), MEMORY_KIB, PASSES));
    assert_memory_equal(hash, "$argon2id$v=19$m=8,t=1,p=1$", 27);
    assert_string_not_equal(hash, again); /* salted */
    assert_true(password_verify(hash, STR("correct horse")));
    assert_true(password_verify(again, STR("correct horse")));
    assert_false(password_verify(hash, STR("correct horsf")));
    assert_false(password_verify(hash, STR("correct hors")));
    assert_false(password_verify(hash, (struct str){NULL, 0}));
}

static void verifies_nothing_by_what_is_no_hash(void **state) {
    (void)state;
    char overlong[500];
    memset(overlong, 'a', sizeof(overlong) - 1);
    overlong[sizeof(overlong) - 1] = '\0';
    assert_false(password_verify("", STR("password")));
    assert_false(password_verify("password", STR("password")));
    assert_false(password_verify(overlong, STR("password")));
    assert_true(password_needs_rehash("password", MEMORY_KIB, PASSES));
    assert_true(password_needs_rehash(overlong, MEMORY_KIB, PASSES));
}

/* libsodium reads a fixed number of bytes; a hash from the database has just its own. */
static void reads_no_further_than_the_hash(void **state) {
    (void)state;
    struct arena a;
    char hash[PASSWORD_HASH_MAX];
    arena_init(&a, 0);
    assert_true(password_hash(hash, STR("password"), MEMORY_KIB, PASSES));
    char *exact = arena_strdup(&a, hash);
    assert_true(password_verify(exact, STR("password")));
    assert_false(password_needs_rehash(exact, MEMORY_KIB, PASSES));
    arena_free(&a);
}

static void asks_for_a_new_hash_when_the_costs_change(void **state) {
    (void)state;
    char hash[PASSWORD_HASH_MAX];
    assert_true(password_hash(hash, STR("password"), MEMORY_KIB, PASSES));
    assert_false(password_needs_rehash(hash, MEMORY_KIB, PASSES));
    assert_true(password_needs_rehash(hash, MEMORY_KIB * 2, PASSES));
    assert_true(password_needs_rehash(hash, MEMORY_KIB, PASSES + 1));
    /* Costs that were lowered weaken no hash. */
    assert_true(password_hash(hash, STR("password"), MEMORY_KIB * 2, PASSES + 1));
    assert_false(password_needs_rehash(hash, MEMORY_KIB, PASSES + 1));
    assert_false(password_needs_rehash(hash, MEMORY_KIB * 2, PASSES));
    assert_true(password_needs_rehash(hash, MEMORY_KIB * 3, PASSES + 1));
    static const char *const others[] = {"$argon2i$v=19$m=99999999,t=9,p=1$a$b",
                                         "$argon2id$v=19$t=9,m=99999999,p=1$a$b",
                                         "$argon2id$v=19$m=99999999",
                                         "$argon2id$v=19$m=x,t=9,p=1$a$b",
                                         "$argon2id",
                                         "$",
                                         ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(password_needs_rehash(others[i], MEMORY_KIB, PASSES));
}

static void reports_that_the_memory_cannot_be_had(void **state) {
    (void)state;
    char hash[PASSWORD_HASH_MAX];
    assert_false(password_hash(hash, STR("password"), INT64_C(1) << 40, 1));
}

static int check(const char *password, size_t len, struct fault *f) {
    return password_check((struct str){password, len}, "new_password", f);
}

static void checks_passwords(void **state) {
    (void)state;
    struct fault f;
    char text[300];
    memset(text, 'x', sizeof(text));
    assert_int_equal(check(text, 8, &f), ERR_OK);
    assert_int_equal(check(text, 256, &f), ERR_OK);
    assert_int_equal(check("p\u00e4ssw\u00f6rt", 10, &f), ERR_OK);
    assert_int_equal(check(text, 7, &f), ERR_INVALID_ARGUMENT);
    assert_string_equal(f.field, "new_password");
    assert_string_equal(f.text, "new_password must be 8 to 256 bytes");
    assert_int_equal(check(text, 257, &f), ERR_INVALID_ARGUMENT);
    assert_int_equal(check(NULL, 0, &f), ERR_INVALID_ARGUMENT);
    assert_int_equal(check("12345678\xff", 9, &f), ERR_INVALID_ARGUMENT);
    assert_string_equal(f.text, "new_password must be UTF-8 without U+0000");
    assert_int_equal(check("1234\0005678", 9, NULL), ERR_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_tokens_that_differ),
        cmocka_unit_test(knows_the_tokens_that_it_marked),
        cmocka_unit_test(hashes_a_token_by_sha_256),
        cmocka_unit_test(verifies_only_the_right_password),
        cmocka_unit_test(verifies_nothing_by_what_is_no_hash),
        cmocka_unit_test(reads_no_further_than_the_hash),
        cmocka_unit_test(asks_for_a_new_hash_when_the_costs_change),
        cmocka_unit_test(reports_that_the_memory_cannot_be_had),
        cmocka_unit_test(checks_passwords),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
