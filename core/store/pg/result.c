/* Rows from PostgreSQL's binary format, and its errors turned into ours. */
#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "core/store/pg/pg_internal.h"

#define FIRST_USER_OID 16384                                      /* enums and other types of our own */
#define POSTGRES_EPOCH_US (INT64_C(946684800) * INT64_C(1000000)) /* 2000-01-01 in Unix time */

int pg_rows(const struct pg_result *r) {
    return PQntuples(r);
}

int64_t pg_affected(const struct pg_result *r) {
    int64_t n = 0;
    str_to_i64(str_from(PQcmdTuples((PGresult *)(uintptr_t)r)), &n);
    return n;
}

bool pg_is_null(const struct pg_result *r, int row, int column) {
    return PQgetisnull(r, row, column) != 0;
}

static uint32_t get_u32(const char *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return ntohl(v);
}

static int64_t get_i64(const char *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return (int64_t)be64toh(v);
}

static const char *value(const struct pg_result *r, int row, int column) {
    assert(row >= 0 && row < PQntuples(r) && column >= 0 && column < PQnfields(r));
    return PQgetvalue(r, row, column);
}

int64_t pg_get_i64(const struct pg_result *r, int row, int column) {
    const char *p = value(r, row, column);
    if (pg_is_null(r, row, column)) return 0;
    switch (PQftype(r, column)) {
    case PG_OID_INT8: return get_i64(p);
    case PG_OID_INT4: return (int32_t)get_u32(p);
    case PG_OID_OID: return get_u32(p);
    default: break;
    }
    assert(PQftype(r, column) == PG_OID_INT2);
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return (int16_t)ntohs(v);
}

bool pg_get_bool(const struct pg_result *r, int row, int column) {
    const char *p = value(r, row, column);
    if (pg_is_null(r, row, column)) return false;
    assert(PQftype(r, column) == PG_OID_BOOL);
    return *p != 0;
}

double pg_get_f64(const struct pg_result *r, int row, int column) {
    const char *p = value(r, row, column);
    if (pg_is_null(r, row, column)) return 0;
    if (PQftype(r, column) == PG_OID_FLOAT4) {
        uint32_t wire = get_u32(p);
        float narrow;
        memcpy(&narrow, &wire, sizeof narrow);
        return (double)narrow;
    }
    assert(PQftype(r, column) == PG_OID_FLOAT8);
    int64_t wire = get_i64(p);
    double v;
    memcpy(&v, &wire, sizeof v);
    return v;
}

/* The types whose binary form is the text, or the bytes, themselves. */
static bool is_plain(Oid type) {
    static const Oid plain[] = {PG_OID_TEXT,        PG_OID_BYTEA,       18 /* "char" */,
                                19 /* name */,      114 /* json */,     705 /* unknown */,
                                1042 /* char(n) */, 1043 /* varchar */, 2950 /* uuid */};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (plain[i] == type) return true;
    }
    return type >= FIRST_USER_OID;
}

struct str pg_get_str(const struct pg_result *r, int row, int column) {
    const char *p = value(r, row, column);
    if (pg_is_null(r, row, column)) return (struct str){"", 0};
    assert(is_plain(PQftype(r, column)));
    return (struct str){p, (size_t)PQgetlength(r, row, column)};
}

int64_t pg_get_time_ms(const struct pg_result *r, int row, int column) {
    const char *p = value(r, row, column);
    if (pg_is_null(r, row, column)) return 0;
    assert(PQftype(r, column) == PG_OID_TIMESTAMPTZ);
    int64_t us = get_i64(p);
    if (us == INT64_MAX || us == INT64_MIN) return us; /* 'infinity', '-infinity' */
    us += POSTGRES_EPOCH_US;
    return us >= 0 ? us / 1000 : -((-us + 999) / 1000);
}

size_t pg_get_i64_array(const struct pg_result *r, int row, int column, struct arena *a, int64_t **out) {
    const char *p = value(r, row, column);
    *out = NULL;
    if (pg_is_null(r, row, column)) return 0;
    assert(PQftype(r, column) == PG_OID_INT8_ARRAY);
    if (get_u32(p) == 0) return 0;
    assert(get_u32(p) == 1 && get_u32(p + 4) == 0); /* one dimension, no NULLs in it */
    size_t n = get_u32(p + 12);
    assert((size_t)PQgetlength(r, row, column) == 20 + n * 12);
    int64_t *v = ARENA_ARRAY(a, int64_t, n);
    for (size_t i = 0; i < n; i++) v[i] = get_i64(p + 20 + i * 12 + 4);
    *out = v;
    return n;
}

/* ---- errors ---- */

static const char *field(const PGresult *r, int code) {
    const char *s = PQresultErrorField(r, code);
    return s ? s : "";
}

bool pg_result_has_state(const PGresult *r, const char *sqlstate) {
    return strcmp(field(r, PG_DIAG_SQLSTATE), sqlstate) == 0;
}

bool pg_result_is_fatal(const PGresult *r) {
    const char *severity = field(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    return *field(r, PG_DIAG_SQLSTATE) == 0 || strcmp(severity, "FATAL") == 0 ||
           strcmp(severity, "PANIC") == 0;
}

struct state_rule {
    const char *prefix; /* of the SQLSTATE */
    enum error error;
};

static enum error error_of_state(const char *state) {
    static const struct state_rule rules[] = {
        {"23505", ERR_ALREADY_EXISTS},    /* unique_violation */
        {"23", ERR_FAILED_PRECONDITION},  /* the other integrity constraints */
        {"40001", ERR_SQL_CONFLICT},      /* serialization_failure */
        {"40P01", ERR_SQL_CONFLICT},      /* deadlock_detected */
        {"55P03", ERR_SQL_CONFLICT},      /* lock_not_available */
        {"57014", ERR_DEADLINE_EXCEEDED}, /* query_canceled: statement_timeout */
        {"53", ERR_UNAVAILABLE},          /* insufficient resources */
        {"25006", ERR_UNAVAILABLE},       /* read_only_sql_transaction: a standby, not promoted yet */
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strncmp(state, rules[i].prefix, strlen(rules[i].prefix)) == 0) return rules[i].error;
    }
    return ERR_SQL;
}

/* The server's function is named because this SQLSTATE (feature_not_supported) has many other causes. */
bool pg_result_is_stale_plan(const PGresult *r) {
    return pg_result_has_state(r, "0A000") &&
           strcmp(field(r, PG_DIAG_SOURCE_FUNCTION), "RevalidateCachedQuery") == 0;
}

enum error pg_result_error(const PGresult *r, struct fault *f) {
    const char *state = field(r, PG_DIAG_SQLSTATE);
    const char *message = field(r, PG_DIAG_MESSAGE_PRIMARY);
    enum error e = pg_result_is_stale_plan(r) ? ERR_SQL_CONFLICT : error_of_state(state);
    bool constraint = e == ERR_ALREADY_EXISTS || e == ERR_FAILED_PRECONDITION;
    return fault_field(f, e, constraint ? field(r, PG_DIAG_CONSTRAINT_NAME) : state, "%s", message);
}
