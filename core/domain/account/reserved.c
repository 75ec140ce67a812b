/* Handles that no account may take: they would pass for the operator's, or for a page of a client. */
#include "core/domain/account/account.h"

static const char *const RESERVED[] = {
    "about",     "admin",  "administrator", "all",      "anonymous", "api",  "everyone", "healthz",
    "help",      "here",   "home",          "login",    "logout",    "me",   "metrics",  "mod",
    "moderator", "null",   "readyz",        "register", "rookery",   "root", "search",   "security",
    "settings",  "static", "support",       "system",   "undefined",
};

bool account_handle_is_reserved(struct str handle) {
    for (size_t i = 0; i < sizeof RESERVED / sizeof *RESERVED; i++)
        if (str_eq(handle, str_from(RESERVED[i]))) return true;
    return false;
}
