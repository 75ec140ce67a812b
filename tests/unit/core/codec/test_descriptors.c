/* The embedded descriptor set and its index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"
#include "core/codec/descriptors.h"
#include "core/codec/wire.h"

struct bench {
    struct arena arena;
    struct descriptors *d;
};

static int set_up(void **state) {
    static struct bench bench;
    arena_init(&bench.arena, 0);
    bench.d = descriptors_load();
    *state = &bench;
    return bench.d ? 0 : -1;
}

static int tear_down(void **state) {
    struct bench *b = *state;
    descriptors_free(b->d);
    arena_free(&b->arena);
    return 0;
}

/* The name in a serialized FileDescriptorProto. */
static struct str name_of(struct str file) {
    struct wire_field f;
    while (file.len > 0 && wire_next(&file, &f))
        if (f.number == 1) return f.payload;
    return STR("");
}

static void files_are_found_by_name(void **state) {
    struct bench *b = *state;
    struct str file;
    assert_true(descriptors_file(b->d, STR("rookery/v1/post.proto"), &file));
    assert_true(str_eq(name_of(file), STR("rookery/v1/post.proto")));
    assert_true(descriptors_file(b->d, STR("google/protobuf/timestamp.proto"), &file));
    assert_true(descriptors_file(b->d, STR("grpc/reflection/v1alpha/reflection.proto"), &file));
    assert_false(descriptors_file(b->d, STR("rookery/v1/nothing.proto"), &file));
    assert_false(descriptors_file(b->d, STR(""), &file));
}

static void the_tests_own_protos_are_not_embedded(void **state) {
    struct bench *b = *state;
    struct str file;
    assert_false(descriptors_file(b->d, STR("rookery/test/v1/codec.proto"), &file));
}

static void symbols_of_every_kind_lead_to_their_file(void **state) {
    static const struct {
        struct str symbol, filename;
    } cases[] = {
        {STR("rookery.v1.PostService"), STR("rookery/v1/post.proto")},
        {STR("rookery.v1.PostService.CreatePost"), STR("rookery/v1/post.proto")},
        {STR("rookery.v1.TimelineItem"), STR("rookery/v1/timeline.proto")},
        {STR("google.protobuf.Timestamp"), STR("google/protobuf/timestamp.proto")},
        {STR("grpc.health.v1.HealthCheckResponse"), STR("grpc/health/v1/health.proto")},
        {STR("grpc.health.v1.HealthCheckResponse.ServingStatus"), STR("grpc/health/v1/health.proto")},
        {STR("grpc.reflection.v1.ServerReflection.ServerReflectionInfo"),
         STR("grpc/reflection/v1/reflection.proto")},
    };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str filename;
        if (!descriptors_file_of_symbol(b->d, cases[i].symbol, &filename))
            fail_msg(STR_FMT " is unknown", STR_ARG(cases[i].symbol));
        assert_true(str_eq(filename, cases[i].filename));
    }
}

static void unknown_symbols_are_not_found(void **state) {
    static const struct str symbols[] = {
        STR(""),
        STR("rookery.v1"),
        STR(".rookery.v1.PostService"),
        STR("PostService"),
        STR("rookery.v1.PostService."),
        STR("rookery.v1.postservice"),
    };
    struct bench *b = *state;
    struct str filename;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        assert_false(descriptors_file_of_symbol(b->d, symbols[i], &filename));
}

static void a_closure_holds_all_imports_before_what_imports_them(void **state) {
    static const struct str expected[] = {
        STR("google/protobuf/timestamp.proto"), STR("google/protobuf/descriptor.proto"),
        STR("rookery/v1/options.proto"),        STR("rookery/v1/account.proto"),
        STR("rookery/v1/post.proto"),           STR("rookery/v1/timeline.proto"),
    };
    struct bench *b = *state;
    struct str *files;
    size_t n = descriptors_closure(b->d, STR("rookery/v1/timeline.proto"), &b->arena, &files);
    assert_int_equal(n, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < n; i++) assert_true(str_eq(name_of(files[i]), expected[i]));
}

static void a_file_without_imports_is_its_own_closure(void **state) {
    struct bench *b = *state;
    struct str *files;
    assert_int_equal(descriptors_closure(b->d, STR("google/protobuf/duration.proto"), &b->arena, &files), 1);
    assert_true(str_eq(name_of(files[0]), STR("google/protobuf/duration.proto")));
    assert_int_equal(descriptors_closure(b->d, STR("nothing.proto"), &b->arena, &files), 0);
}

static void services_are_listed_by_full_name(void **state) {
    struct bench *b = *state;
    struct str name;
    int posts = 0, health = 0;
    for (size_t i = 0; descriptors_service(b->d, i, &name); i++) {
        posts += str_eq(name, STR("rookery.v1.PostService"));
        health += str_eq(name, STR("grpc.health.v1.Health"));
        assert_true(i < 1000);
    }
    assert_int_equal(posts, 1);
    assert_int_equal(health, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(files_are_found_by_name),
        TEST(the_tests_own_protos_are_not_embedded),
        TEST(symbols_of_every_kind_lead_to_their_file),
        TEST(unknown_symbols_are_not_found),
        TEST(a_closure_holds_all_imports_before_what_imports_them),
        TEST(a_file_without_imports_is_its_own_closure),
        TEST(services_are_listed_by_full_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
