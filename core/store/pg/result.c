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

/* ---- rows ---------------------------------------------------------------------------------------------- */

struct pg_row pg_read(const struct pg_result *r) {
    return (struct pg_row){.result = r, .row = -1};
}

struct pg_row pg_row_at(const struct pg_result *r, int row) {
    return (struct pg_row){.result = r, .row = row};
}

bool pg_next(struct pg_row *row) {
    if (row->row >= 0) pg_end(row);
    row->column = 0;
    return ++row->row < PQntuples(row->result);
}

void pg_end(const struct pg_row *row) {
    assert(row->column == PQnfields(row->result) && "a row is taken whole");
}

/* The next column: its bytes, and *type; NULL for SQL's NULL. */
static const char *take(struct pg_row *row, Oid *type, size_t *length) {
    int column = row->column++;
    assert(row->row >= 0 && row->row < PQntuples(row->result) && column < PQnfields(row->result));
    *type = PQftype(row->result, column);
    *length = (size_t)PQgetlength(row->result, row->row, column);
    return PQgetisnull(row->result, row->row, column) ? NULL : PQgetvalue(row->result, row->row, column);
}

int64_t pg_take_i64(struct pg_row *row) {
    Oid type;
    size_t length;
    uint16_t v;
    const char *p = take(row, &type, &length);
    if (!p) return 0;
    switch (type) {
    case PG_OID_INT8: return get_i64(p);
    case PG_OID_INT4: return (int32_t)get_u32(p);
    case PG_OID_OID: return get_u32(p);
    default: break;
    }
    assert(type == PG_OID_INT2);
    memcpy(&v, p, sizeof v);
    return (int16_t)ntohs(v);
}

int32_t pg_take_i32(struct pg_row *row) {
    int64_t v = pg_take_i64(row);
    assert(v >= INT32_MIN && v <= INT32_MAX);
    return (int32_t)v;
}

bool pg_take_bool(struct pg_row *row) {
    Oid type;
    size_t length;
    const char *p = take(row, &type, &length);
    assert(!p || type == PG_OID_BOOL);
    return p && *p != 0;
}

double pg_take_f64(struct pg_row *row) {
    Oid type;
    size_t length;
    const char *p = take(row, &type, &length);
    if (!p) return 0;
    if (type == PG_OID_FLOAT4) {
        uint32_t narrow_wire = get_u32(p);
        float narrow;
        memcpy(&narrow, &narrow_wire, sizeof narrow);
        return (double)narrow;
    }
    assert(type == PG_OID_FLOAT8);
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

struct str pg_take_str_or_null(struct pg_row *row) {
    Oid type;
    struct str v;
    v.ptr = take(row, &type, &v.len);
    assert(!v.ptr || is_plain(type));
    return v;
}

struct str pg_take_str(struct pg_row *row) {
    struct str v = pg_take_str_or_null(row);
    return v.ptr ? v : (struct str){"", 0};
}

int64_t pg_take_time_ms(struct pg_row *row) {
    Oid type;
    size_t length;
    const char *p = take(row, &type, &length);
    if (!p) return 0;
    assert(type == PG_OID_TIMESTAMPTZ);
    int64_t us = get_i64(p);
    if (us == INT64_MAX || us == INT64_MIN) return us; /* 'infinity', '-infinity' */
    us += POSTGRES_EPOCH_US;
    return us >= 0 ? us / 1000 : -((-us + 999) / 1000);
}

size_t pg_take_i64_array(struct pg_row *row, struct arena *a, int64_t **out) {
    Oid type;
    size_t length;
    const char *p = take(row, &type, &length);
    *out = NULL;
    if (!p) return 0;
    assert(type == PG_OID_INT8_ARRAY);
    if (get_u32(p) == 0) return 0;
    assert(get_u32(p) == 1 && get_u32(p + 4) == 0); /* one dimension, no NULLs in it */
    size_t n = get_u32(p + 12);
    assert(length == 20 + n * 12);
    int64_t *v = ARENA_ARRAY(a, int64_t, n);
    for (size_t i = 0; i < n; i++) v[i] = get_i64(p + 20 + i * 12 + 4);
    *out = v;
    return n;
}

/* ---- one value ---- */

/* At the first row of one column; false when there is none. */
static bool only(const struct pg_result *r, struct pg_row *row) {
    assert(PQnfields(r) == 1);
    *row = pg_read(r);
    return pg_next(row);
}

int64_t pg_only_i64(const struct pg_result *r) {
    struct pg_row row;
    return only(r, &row) ? pg_take_i64(&row) : 0;
}

bool pg_only_bool(const struct pg_result *r) {
    struct pg_row row;
    return only(r, &row) && pg_take_bool(&row);
}

struct str pg_only_str(const struct pg_result *r) {
    struct pg_row row;
    return only(r, &row) ? pg_take_str(&row) : (struct str){"", 0};
}

size_t pg_only_i64_array(const struct pg_result *r, struct arena *a, int64_t **out) {
    struct pg_row row;
    *out = NULL;
    return only(r, &row) ? pg_take_i64_array(&row, a, out) : 0;
}

/* ---- errors ---- */

static const char *field(const PGresult *r, int code) {
    const char *s = PQresultErrorField(r, code);
    return s ? s : "";
}

bool pg_result_has_state(const PGresult *r, const char *sqlstate) {
    return strcmp(field(r, PG_DIAG_SQLSTATE), sqlstate) == 0;
}

void pg_result_note(struct pg *pg, const PGresult *r) {
    pg_shortage_note(pg, field(r, PG_DIAG_SQLSTATE), field(r, PG_DIAG_MESSAGE_PRIMARY));
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
        {"23505", ERR_SQL_DUPLICATE},     /* unique_violation */
        {"23", ERR_SQL_CONSTRAINT},       /* the other integrity constraints */
        {"40001", ERR_SQL_CONFLICT},      /* serialization_failure */
        {"40P01", ERR_SQL_CONFLICT},      /* deadlock_detected */
        {"55P03", ERR_SQL_CONFLICT},      /* lock_not_available */
        {"57014", ERR_DEADLINE_EXCEEDED}, /* query_canceled: statement_timeout */
        {"53", ERR_SQL_RESOURCES},        /* insufficient resources: disk, memory, connections */
        {"58030", ERR_SQL_RESOURCES},     /* io_error */
        {"25006", ERR_SQL_READ_ONLY},     /* read_only_sql_transaction: a standby, not promoted yet */
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
    enum error e = pg_result_is_stale_plan(r) ? ERR_SQL_CONFLICT : error_of_state(state);
    if (e == ERR_DEADLINE_EXCEEDED) return fault_set(f, e, "the database took too long: try again");
    return fault_set(f, e, "%s %s", state, field(r, PG_DIAG_MESSAGE_PRIMARY));
}
