/* The rule of the home timeline as a table: every way in which an author, the one replied to and the original's author
 * can stand to the viewer, against a second, slower writing of the rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/domain/graph/relations.h"

/* The ways an account can stand to the viewer. Muted and blocked ones may be followed too (a mute leaves the
 * follow). */
enum { STRANGER = 10, FOLLOWED, MUTED, FOLLOWED_MUTED, BLOCKED, SELF, LAST = SELF };

static void fill(struct relations *r) {
    *r = (struct relations){.viewer_id = SELF};
    ids_init(&r->followed);
    ids_init(&r->blocked);
    ids_init(&r->muted);
    ids_push(&r->followed, FOLLOWED);
    ids_push(&r->followed, FOLLOWED_MUTED);
    ids_push(&r->muted, MUTED);
    ids_push(&r->muted, FOLLOWED_MUTED);
    ids_push(&r->blocked, BLOCKED);
}

static bool followed(int64_t id) {
    return id == FOLLOWED || id == FOLLOWED_MUTED || id == SELF;
}
static bool hidden(int64_t id) {
    return id == MUTED || id == FOLLOWED_MUTED || id == BLOCKED;
}

/* In the words of relations.h. */
static bool wanted(const struct entry *e) {
    bool author = followed(e->author_id) && !hidden(e->author_id);
    int64_t to = e->reply_to_account_id;
    bool reply = to == 0 || e->author_id == SELF || ((to == e->author_id || followed(to)) && !hidden(to));
    bool repost = e->repost_of_id == 0 || !hidden(e->original_author_id);
    return author && reply && repost;
}

static void posts_replies_and_reposts_of_everybody(void **state) {
    (void)state;
    struct relations r;
    int shown = 0, tried = 0;
    fill(&r);
    for (int64_t author = STRANGER; author <= LAST; author++)
        for (int64_t to = STRANGER - 1; to <= LAST; to++)
            for (int64_t original = STRANGER - 1; original <= LAST; original++) {
                struct entry e = {.id = 1, .author_id = author};
                e.reply_to_account_id = to < STRANGER ? 0 : to;
                e.repost_of_id = original < STRANGER ? 0 : 2;
                e.original_author_id = original < STRANGER ? 0 : original;
                assert_int_equal(relations_shows_at_home(&r, &e), wanted(&e));
                shown += wanted(&e);
                tried++;
            }
    assert_true(shown > 20 && shown < tried / 2);
    relations_free(&r);
}

static void examples(void **state) {
    (void)state;
    struct relations r;
    fill(&r);
    const struct {
        struct entry entry;
        bool shown;
    } cases[] = {
        {{.author_id = FOLLOWED}, true},
        {{.author_id = SELF}, true},
        {{.author_id = STRANGER}, false},
        {{.author_id = FOLLOWED_MUTED}, false},
        {{.author_id = BLOCKED}, false},
        {{.author_id = FOLLOWED, .reply_to_account_id = STRANGER}, false},
        {{.author_id = FOLLOWED, .reply_to_account_id = FOLLOWED}, true},
        {{.author_id = FOLLOWED, .reply_to_account_id = SELF}, true},
        {{.author_id = FOLLOWED, .reply_to_account_id = FOLLOWED_MUTED}, false},
        {{.author_id = SELF, .reply_to_account_id = STRANGER}, true},
        {{.author_id = SELF, .reply_to_account_id = MUTED}, true},
        {{.author_id = FOLLOWED, .repost_of_id = 5, .original_author_id = STRANGER}, true},
        {{.author_id = FOLLOWED, .repost_of_id = 5, .original_author_id = MUTED}, false},
        {{.author_id = SELF, .repost_of_id = 5, .original_author_id = BLOCKED}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(relations_shows_at_home(&r, &cases[i].entry), cases[i].shown);
    relations_free(&r);
}

static void only_blocks_forbid_to_see(void **state) {
    (void)state;
    struct relations r;
    fill(&r);
    for (int64_t id = STRANGER; id <= LAST; id++) assert_int_equal(relations_may_see(&r, id), id != BLOCKED);
    relations_free(&r);
}

static void a_copy_is_its_own(void **state) {
    (void)state;
    struct relations r, copy;
    fill(&r);
    relations_copy(&copy, &r);
    relations_free(&r);
    assert_int_equal(copy.viewer_id, SELF);
    assert_true(relations_shows_at_home(&copy, &(struct entry){.author_id = FOLLOWED}));
    relations_free(&copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_replies_and_reposts_of_everybody),
        cmocka_unit_test(examples),
        cmocka_unit_test(only_blocks_forbid_to_see),
        cmocka_unit_test(a_copy_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
