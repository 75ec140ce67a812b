/* Configuration from the environment: one table holds every variable, its default, its check and its sentence.
 *
 * Read once at start into struct config, which is passed. A bad value stops the program with one sentence that names
 * the variable and what would be right; so does an unknown variable that begins with ROOKERY_, so that a typo is
 * noticed. docs/configuration.md and README's table are made from the table.
 */
#ifndef ROOKERY_CORE_CONFIG_CONFIG_H
#define ROOKERY_CORE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* S(variable, member, default, help)                      text
 * N(variable, member, default, lowest, highest, help)     whole number */
#define CONFIG_TABLE(S, N)                                                                                   \
    S("DATABASE_URL", database_url, "postgresql:///rookery", "PostgreSQL, as a libpq URI")                   \
    S("REDIS_URL", redis_url, "redis://127.0.0.1:6379", "Redis: redis://HOST:PORT or unix:///PATH")          \
    S("ROOKERY_LISTEN", listen, "127.0.0.1:8080", "address and port the gateway listens on")                 \
    S("ROOKERY_METRICS_LISTEN", metrics_listen, "",                                                          \
      "address and port of /metrics, /healthz and /readyz of a daemon; empty: not served")                   \
    S("ROOKERY_LOG_LEVEL", log_level, "info", "debug, info, warn or error")                                  \
    S("ROOKERY_LOG_FILE", log_file, "", "a daemon's log, opened again at SIGHUP; empty: standard error")     \
    S("ROOKERY_ROLES", roles, "all", "roles a worker runs, separated by commas; all: every role")            \
    N("ROOKERY_PARTITIONS", partitions, 4, 1, 64,                                                            \
      "partitions of each event stream; the same for every process of a database, and permanent")            \
    N("ROOKERY_DB_CONNECTIONS", db_connections, 8, 1, 100, "PostgreSQL connections of a process")            \
    N("ROOKERY_DB_PIPELINE", db_pipeline, 64, 1, 256, "statements in flight on one connection")              \
    N("ROOKERY_REQUEST_TIMEOUT_MS", request_timeout_ms, 10000, 10, 600000,                                   \
      "deadline of a call whose client sets none, counted from its headers")                                 \
    N("ROOKERY_MAX_CALLS", max_calls, 4096, 1, 100000,                                                       \
      "calls that a gateway runs at a time; as many more wait, and the rest is RESOURCE_EXHAUSTED")          \
    N("ROOKERY_MAX_CONNECTIONS", max_connections, 8192, 1, 1000000, "client connections of a gateway")       \
    S("ROOKERY_TRUSTED_PROXIES", trusted_proxies, "",                                                        \
      "proxies whose X-Forwarded-For says who the client is: ADDR or ADDR/BITS, separated by commas")        \
    N("ROOKERY_PROXY_HEADERS", proxy_headers, 0, 0, 1,                                                       \
      "1: trusted proxies begin each connection with a PROXY header, and X-Forwarded-For is ignored")        \
    N("ROOKERY_ANONYMOUS_CONNECTIONS", anonymous_connections, 4096, 1, 1000000,                              \
      "connections on which nobody has been authenticated; above it the idlest is closed")                   \
    N("ROOKERY_NETWORK_CONNECTIONS", network_connections, 256, 1, 1000000,                                   \
      "such connections of one IPv4 address or IPv6 /64; of an IPv6 /48 ten times as many")                  \
    N("ROOKERY_ACCOUNT_CONNECTIONS", account_connections, 512, 1, 1000000,                                   \
      "connections of one account; above it its idlest is closed")                                           \
    N("ROOKERY_ANONYMOUS_IDLE_MS", anonymous_idle_ms, 20000, 100, 300000,                                    \
      "idle time after which a connection on which nobody has been authenticated, or a stream on it, ends")  \
    N("ROOKERY_MAX_MESSAGE_BYTES", max_message_bytes, 1048576, 1024, 16777216,                               \
      "largest request message, in bytes")                                                                   \
    S("ROOKERY_CORS_ORIGINS", cors_origins, "",                                                              \
      "origins whose pages may call the API from a browser, separated by commas, such as "                   \
      "https://app.example or http://localhost:* (any port); *: all; empty: none")                           \
    N("ROOKERY_LIMIT_LOOKUPS", limit_lookups, 500, 1, 1000000,                                               \
      "lookups of an account in a second; ten seconds' worth in one go")                                     \
    N("ROOKERY_LIMIT_PAGES", limit_pages, 500, 1, 1000000,                                                   \
      "pages that an account reads in a second; ten seconds' worth in one go")                               \
    N("ROOKERY_LIMIT_CHANGES", limit_changes, 200, 1, 1000000,                                               \
      "small changes of an account in a second; ten seconds' worth in one go")                               \
    N("ROOKERY_LIMIT_PUBLISHES", limit_publishes, 100, 1, 1000000,                                           \
      "posts, follows and the like of an account in a second; ten seconds' worth in one go")                 \
    N("ROOKERY_LIMIT_PASSWORDS", limit_passwords, 10, 1, 1000000,                                            \
      "password checks of an account with a session in a minute")                                            \
    N("ROOKERY_LIMIT_STREAMS", limit_streams, 50, 1, 1000000,                                                \
      "streams that an account opens in a second; ten seconds' worth in one go")                             \
    N("ROOKERY_LIMIT_WORK", limit_work, 50, 1, 1000000,                                                      \
      "uploads and jobs of an account in a second; ten seconds' worth in one go")                            \
    N("ROOKERY_LIMIT_POSTS", limit_posts, 1000, 1, 1000000,                                                  \
      "posts and reposts of an account in an hour, by gateway")                                              \
    N("ROOKERY_LIMIT_FOLLOWS", limit_follows, 1000, 1, 1000000,                                              \
      "follows of an account in an hour, by gateway")                                                        \
    N("ROOKERY_LIMIT_STRANGERS", limit_strangers, 50, 1, 1000000,                                            \
      "calls without a session from a network in a second; ten seconds' worth in one go")                    \
    N("ROOKERY_LIMIT_TOKENS", limit_tokens, 100, 1, 1000000,                                                 \
      "calls with a wrong token from a network in a second; 50 seconds' worth in one go")                    \
    N("ROOKERY_LIMIT_LOGINS", limit_logins, 300, 1, 1000000,                                                 \
      "logins from a network in a minute, right or wrong")                                                   \
    N("ROOKERY_LIMIT_REGISTRATIONS", limit_registrations, 600, 1, 1000000,                                   \
      "registrations from a network in an hour")                                                             \
    N("ROOKERY_REQUEST_BYTES", request_bytes, 67108864, 1048576, 17179869184,                                \
      "bytes of accounts' requests held while they arrive; of one account an eighth")                        \
    N("ROOKERY_ANONYMOUS_REQUEST_BYTES", anonymous_request_bytes, 33554432, 1048576, 17179869184,            \
      "the same of requests whose sender is not known; of one network a 16th, of a connection a 32nd")       \
    N("ROOKERY_REPLY_BYTES", reply_bytes, 33554432, 1048576, 17179869184,                                    \
      "bytes of replies unsent or being made, above which calls wait; of one connection a 32nd")             \
    N("ROOKERY_SESSION_DAYS", session_days, 30, 1, 3650, "lifetime of a session token, in days")             \
    N("ROOKERY_PASSWORD_MEMORY_KIB", password_memory_kib, 19456, 8192, 1048576,                              \
      "argon2id memory for each password hash")                                                              \
    N("ROOKERY_PASSWORD_PASSES", password_passes, 2, 1, 16, "argon2id passes over that memory")              \
    N("ROOKERY_PASSWORD_CHECKS", password_checks, 2, 1, 64,                                                  \
      "passwords that a gateway checks at the same time; each takes a core for a while")                     \
    N("ROOKERY_SESSIONS_PER_ACCOUNT", sessions_per_account, 100, 1, 1000000,                                 \
      "sessions of an account; a login beyond them ends the oldest")                                         \
    N("ROOKERY_POST_CACHE_BYTES", post_cache_bytes, 67108864, 65536, 1099511627776,                          \
      "bytes of the posts that a gateway caches")                                                            \
    N("ROOKERY_VIEWER_CACHE_BYTES", viewer_cache_bytes, 67108864, 65536, 1099511627776,                      \
      "bytes of the viewers whose relations a gateway caches")                                               \
    N("ROOKERY_TIMELINE_TTL_S", timeline_ttl_s, 1209600, 60, 315360000,                                      \
      "seconds after its last read until a home timeline is dropped from Redis")                             \
    N("ROOKERY_CHUNK_AUDIENCE", chunk_audience, 5000, 10, 10000000,                                          \
      "followers above which a post is delivered in chunks of this size")                                    \
    N("ROOKERY_PULL_AUDIENCE", pull_audience, 1000000, 10, 1000000000,                                       \
      "followers, in whole chunks, above which an author's posts are merged at read time")                   \
    N("ROOKERY_BATCH_MAX", batch_max, 4096, 1, 65536, "maximum events in one batch of a worker")             \
    N("ROOKERY_RECLAIM_MS", reclaim_ms, 15000, 100, 3600000,                                                 \
      "idle time after which another worker reclaims a dead worker's events")                                \
    N("ROOKERY_UNKNOWN_KEEP_S", unknown_keep_s, 600, 0, 604800,                                              \
      "seconds for which an event of an unknown kind is left to a newer worker")                             \
    N("ROOKERY_MAX_DELIVERIES", max_deliveries, 8, 1, 1000,                                                  \
      "deliveries after which an event goes to the dead letters")                                            \
    N("ROOKERY_DATASETS_PER_ACCOUNT", datasets_per_account, 100, 1, 1000000,                                 \
      "maximum datasets of an account")                                                                      \
    N("ROOKERY_DATASET_BYTES", dataset_bytes, 268435456, 1, 17179869184, "largest dataset, in bytes")        \
    N("ROOKERY_ACCOUNT_DATASET_BYTES", account_dataset_bytes, 1073741824, 1, 1099511627776,                  \
      "maximum bytes of all datasets of an account")                                                         \
    N("ROOKERY_IMPRESSION_SAMPLE", impression_sample, 100, 0, 1000,                                          \
      "of 1000 posts shown on home timelines, how many are recorded as impressions")                         \
    N("ROOKERY_IMPRESSION_DAYS", impression_days, 90, 1, 3650, "days for which impressions are kept")        \
    S("ROOKERY_ANALYST_URL", analyst_url, "",                                                                \
      "PostgreSQL for analysts' queries, as another role; empty: no queries")                                \
    N("ROOKERY_QUERY_TIMEOUT_MS", query_timeout_ms, 30000, 10, 3600000,                                      \
      "maximum duration of an analyst's query")                                                              \
    N("ROOKERY_QUERY_ROWS", query_rows, 10000000, 1, 1000000000, "maximum rows of an analyst's query")       \
    N("ROOKERY_JOBS_PER_ACCOUNT", jobs_per_account, 4, 1, 10000, "maximum running jobs of an account")       \
    N("ROOKERY_JOBS_KEPT", jobs_kept, 200, 1, 100000, "ended jobs of an account whose results are kept")     \
    N("ROOKERY_JOB_PART_ROWS", job_part_rows, 100000, 1, 100000000,                                          \
      "rows of small slices that one task of a job fits together")                                           \
    N("ROOKERY_JOB_TASKS", job_tasks, 10000, 1, 1000000, "maximum tasks of a job")                           \
    N("ROOKERY_JOB_STALL_S", job_stall_s, 600, 1, 86400,                                                     \
      "seconds without progress after which a step of a job is requeued")                                    \
    N("ROOKERY_JOB_RESULT_BYTES", job_result_bytes, 268435456, 1024, 17179869184,                            \
      "largest result of a job, in bytes")                                                                   \
    N("ROOKERY_HEARTBEAT_MS", heartbeat_ms, 15000, 100, 600000, "interval of heartbeats on live streams")    \
    N("ROOKERY_RESUME_BYTES", resume_bytes, 67108864, 65536, 17179869184,                                    \
      "memory in which a gateway keeps what happened, for streams that resume")                              \
    N("ROOKERY_DRAIN_MS", drain_ms, 10000, 0, 600000,                                                        \
      "maximum time a stopping process waits for work in progress")

struct config {
#define S(variable, member, default_value, help) const char *member;
#define N(variable, member, default_value, lowest, highest, help) int64_t member;
    CONFIG_TABLE(S, N)
#undef S
#undef N
    char *storage; /* owned copies of the texts */
};

/* Reads environ-style "NAME=value" strings (NULL-terminated). On a bad value or unknown variable: returns false with
 * one sentence in error[size]; the config then owns nothing. */
bool config_load(struct config *c, char *const *environment, char *error, size_t size);
void config_free(struct config *c);

/* The table for --help: a line a variable with its default and help. */
void config_print(FILE *out);

#endif
