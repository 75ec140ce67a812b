/* Configuration: defaults, checks, and a sentence for what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/config.h"

static char error[256];

static bool load(struct config *c, const char *setting) {
    char *environment[] = {"PATH=/bin", "HOME=/", (char *)setting, NULL};
    error[0] = '\0';
    return config_load(c, environment, error, sizeof(error));
}

static void assert_loads(const char *setting) {
    struct config c;
    if (!load(&c, setting)) fail_msg("%s: %s", setting, error);
    config_free(&c);
}

static void assert_refused(const char *setting, const char *sentence) {
    struct config c;
    if (load(&c, setting)) fail_msg("%s was accepted", setting);
    assert_string_equal(error, sentence);
    assert_null(c.storage);
    assert_null(c.listen);
    config_free(&c);
}

static void has_a_default_for_everything(void **state) {
    (void)state;
    struct config c;
    assert_true(load(&c, NULL));
#define S(variable, member, default_value, help) assert_string_equal(c.member, default_value);
#define N(variable, member, default_value, lowest, highest, help)                                            \
    assert_int_equal(c.member, default_value);                                                               \
    assert_true(c.member >= (lowest) && c.member <= (highest));
    CONFIG_TABLE(S, N)
#undef S
#undef N
    config_free(&c);
}

/* Every number at its bounds and beyond, by the table. */
static void keeps_numbers_within_their_bounds(void **state) {
    (void)state;
    struct config c;
    char setting[128];
#define TRY(variable, member, value, fits)                                                                   \
    snprintf(setting, sizeof(setting), "%s=%lld", variable, (long long)(value));                             \
    assert_int_equal(load(&c, setting), fits);                                                               \
    if (fits) assert_int_equal(c.member, value);                                                             \
    config_free(&c);
#define S(variable, member, default_value, help)
#define N(variable, member, default_value, lowest, highest, help)                                            \
    TRY(variable, member, lowest, true)                                                                      \
    TRY(variable, member, highest, true)                                                                     \
    TRY(variable, member, (int64_t)(lowest)-1, false)                                                        \
    TRY(variable, member, (int64_t)(highest) + 1, false)
    CONFIG_TABLE(S, N)
#undef S
#undef N
#undef TRY
}

static void says_what_a_number_must_be(void **state) {
    (void)state;
    assert_refused("ROOKERY_PARTITIONS=65",
                   "ROOKERY_PARTITIONS must be a whole number from 1 to 64, not \"65\".");
    assert_refused("ROOKERY_PARTITIONS=",
                   "ROOKERY_PARTITIONS must be a whole number from 1 to 64, not \"\".");
    assert_refused("ROOKERY_PARTITIONS= 4",
                   "ROOKERY_PARTITIONS must be a whole number from 1 to 64, not \" 4\".");
    assert_refused("ROOKERY_PARTITIONS=4k",
                   "ROOKERY_PARTITIONS must be a whole number from 1 to 64, not \"4k\".");
}

static void checks_addresses(void **state) {
    (void)state;
    static const char sentence[] =
        "ROOKERY_LISTEN must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080.";
    static const char *const bad[] = {"",        "8080",      ":8080",  "host",      "host:",   "host:65536",
                                      "host:-1", "host:http", "::1:80", "[::1]",     "[::1]80", "[]:80",
                                      "[::1]:",  "[::1",      "[",      "host:80:80"};
    assert_loads("ROOKERY_LISTEN=0.0.0.0:0");
    assert_loads("ROOKERY_LISTEN=localhost:65535");
    assert_loads("ROOKERY_LISTEN=[::1]:8080");
    assert_loads("ROOKERY_METRICS_LISTEN=");
    assert_loads("ROOKERY_METRICS_LISTEN=127.0.0.1:9090");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char setting[64];
        snprintf(setting, sizeof(setting), "ROOKERY_LISTEN=%s", bad[i]);
        assert_refused(setting, sentence);
    }
    assert_refused("ROOKERY_METRICS_LISTEN=x",
                   "ROOKERY_METRICS_LISTEN must be ADDRESS:PORT, such as 127.0.0.1:9090, "
                   "or empty.");
}

static void checks_origins(void **state) {
    static const char *const good[] = {"",
                                       "*",
                                       "https://app.example",
                                       "http://localhost:*,http://127.0.0.1:3000",
                                       "http://[::1]:*",
                                       "app://x,*"},
                             *const bad[] = {",",          "localhost",   "https://",
                                             "https://a/", "https://a/b", "https://a, https://b",
                                             "https://a,", "https://*.a", "://a",
                                             "http://:*",  "https://a?b"};
    char setting[128];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(setting, sizeof setting, "ROOKERY_CORS_ORIGINS=%s", good[i]);
        assert_loads(setting);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(setting, sizeof setting, "ROOKERY_CORS_ORIGINS=%s", bad[i]);
        assert_refused(setting, "ROOKERY_CORS_ORIGINS must be origins separated by commas, such as "
                                "https://app.example,http://localhost:*, with no path and no blank.");
    }
}

static void checks_the_other_texts(void **state) {
    (void)state;
    assert_loads("DATABASE_URL=postgres://u:p@h/db");
    assert_loads("REDIS_URL=unix:///run/redis.sock");
    assert_loads("ROOKERY_LOG_LEVEL=debug");
    assert_loads("ROOKERY_ROLES=fanout");
    assert_loads("ROOKERY_ROLES=relay,fan-out");
    assert_refused("ROOKERY_LOG_LEVEL=loud", "ROOKERY_LOG_LEVEL must be debug, info, warn or error.");
    assert_refused("REDIS_URL=unix:///", "REDIS_URL must be redis://HOST:PORT or unix:///PATH.");
    assert_refused("REDIS_URL=localhost", "REDIS_URL must be redis://HOST:PORT or unix:///PATH.");
    static const char *const roles[] = {"ROOKERY_ROLES=",     "ROOKERY_ROLES=a,",  "ROOKERY_ROLES=,a",
                                        "ROOKERY_ROLES=a,,b", "ROOKERY_ROLES=a b", "ROOKERY_ROLES=A"};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        assert_refused(roles[i],
                       "ROOKERY_ROLES must be all, or role names separated by commas, such as relay,fanout.");
    }
}

static void keeps_a_password_out_of_the_sentence(void **state) {
    (void)state;
    assert_refused("DATABASE_URL=mysql://u:secret@h/db",
                   "DATABASE_URL must be a libpq URI that begins with postgresql://.");
}

static void refuses_misspelt_variables(void **state) {
    (void)state;
    assert_refused("ROOKERY_LISTN=x", "ROOKERY_LISTN is not a setting; --help lists those there are.");
    assert_refused("ROOKERY_LISTENER=x", "ROOKERY_LISTENER is not a setting; --help lists those there are.");
    assert_refused("ROOKERY_", "ROOKERY_ is not a setting; --help lists those there are.");
    assert_loads("ROOKERYX=1");
    assert_loads("XROOKERY_Y=1");
}

static void passes_over_what_kubernetes_sets_for_a_service(void **state) {
    (void)state;
    assert_loads("ROOKERY_GATEWAY_SERVICE_HOST=10.0.0.1");
    assert_loads("ROOKERY_GATEWAY_SERVICE_PORT_GRPC=8080");
    assert_loads("ROOKERY_GATEWAY_PORT=tcp://10.0.0.1:8080");
    assert_loads("ROOKERY_GATEWAY_PORT_8080_TCP_ADDR=10.0.0.1");
}

static void owns_its_texts(void **state) {
    (void)state;
    struct config c;
    char setting[] = "DATABASE_URL=postgresql:///mine";
    assert_true(load(&c, setting));
    memset(setting, 'x', sizeof(setting) - 1);
    assert_string_equal(c.database_url, "postgresql:///mine");
    assert_string_equal(c.log_level, "info");
    config_free(&c);
}

static void prints_a_line_for_each_variable(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0, lines = 0, variables = 0;
    FILE *out = open_memstream(&text, &size);
    config_print(out);
    fclose(out);
    for (const char *c = text; *c; c++) lines += *c == '\n';
#define S(variable, member, default_value, help)                                                             \
    assert_non_null(strstr(text, variable " "));                                                             \
    variables++;
#define N(variable, member, default_value, lowest, highest, help)                                            \
    assert_non_null(strstr(text, variable " "));                                                             \
    assert_non_null(strstr(text, "[" #default_value "]"));                                                   \
    variables++;
    CONFIG_TABLE(S, N)
#undef S
#undef N
    assert_int_equal(lines, variables);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_a_default_for_everything),
        cmocka_unit_test(keeps_numbers_within_their_bounds),
        cmocka_unit_test(says_what_a_number_must_be),
        cmocka_unit_test(checks_addresses),
        cmocka_unit_test(checks_origins),
        cmocka_unit_test(checks_the_other_texts),
        cmocka_unit_test(keeps_a_password_out_of_the_sentence),
        cmocka_unit_test(refuses_misspelt_variables),
        cmocka_unit_test(passes_over_what_kubernetes_sets_for_a_service),
        cmocka_unit_test(owns_its_texts),
        cmocka_unit_test(prints_a_line_for_each_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
