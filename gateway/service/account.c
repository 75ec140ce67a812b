/* AccountService. */
#include "core/domain/account/account.h"

#include "core/domain/graph/graph.h"
#include "core/id/snowflake.h"
#include "gateway/answer/lists.h"
#include "gateway/answer/shape.h"
#include "gateway/cache/account.h"
#include "gateway/cache/session.h"
#include "gateway/gateway.h"
#include "gateway/limit/password.h"
#include "gateway/service/service.h"

static struct str user_agent(struct rpc_call *call) {
    struct str value;
    return rpc_metadata(call, "user-agent", &value) ? value : (struct str){"", 0};
}

static int do_register(struct fiber *self, struct rpc_call *call, const Rookery__V1__RegisterRequest *in,
                       struct account *account, struct new_session *session) {
    struct gateway *g = gateway_of(call);
    uint64_t network = rpc_network(call);
    struct account_registration registration = {
        .handle = str_from(in->handle),
        .password = str_from(in->password),
        .display_name = str_from(in->display_name),
        .idempotency_key = str_from(in->idempotency_key),
        .user_agent = user_agent(call),
    };
    int e = passwords_register_begin(self, g->passwords, network, rpc_fault(call));
    if (e != 0) return e;
    e = account_register(self, &g->domain, &registration, account, session, rpc_fault(call));
    passwords_register_end(g->passwords, registration.handle, network, e);
    return e;
}

int account_service_register(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct account account;
    struct new_session session;
    int e = do_register(self, call, REQUEST(RegisterRequest), &account, &session);
    if (e != 0) return e;
    Rookery__V1__RegisterResponse reply = ROOKERY__V1__REGISTER_RESPONSE__INIT;
    reply.account = message_account(rpc_arena(call), &account);
    reply.token = str_to_cstr(rpc_arena(call), session.token);
    reply.expire_time = message_time(rpc_arena(call), session.session.expires_ms);
    rpc_reply(call, &reply.base);
    return 0;
}

static int do_login(struct fiber *self, struct rpc_call *call, const Rookery__V1__LoginRequest *in,
                    struct account *account, struct new_session *session) {
    struct gateway *g = gateway_of(call);
    struct guess guess;
    int e = passwords_login_begin(self, g->passwords, str_from(in->handle), rpc_network(call), &guess,
                                  rpc_fault(call));
    if (e != 0) return e;
    e = account_login(self, &g->domain, str_from(in->handle), str_from(in->password), user_agent(call),
                      account, session, rpc_fault(call));
    passwords_login_end(g->passwords, &guess, e);
    return e;
}

int account_service_login(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct account account;
    struct new_session session;
    int e = do_login(self, call, REQUEST(LoginRequest), &account, &session);
    if (e != 0) return e;
    Rookery__V1__LoginResponse reply = ROOKERY__V1__LOGIN_RESPONSE__INIT;
    reply.account = message_account(rpc_arena(call), &account);
    reply.token = str_to_cstr(rpc_arena(call), session.token);
    reply.expire_time = message_time(rpc_arena(call), session.session.expires_ms);
    rpc_reply(call, &reply.base);
    return 0;
}

/* On this gateway immediately; on others when their hubs hear of it. */
static int end_session(struct fiber *self, struct rpc_call *call, int64_t session_id) {
    struct gateway *g = gateway_of(call);
    int e = session_revoke(self, &g->domain, caller_of(call), session_id, rpc_fault(call));
    session_cache_revoke(g->sessions, session_id);
    return e;
}

int account_service_logout(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    (void)request;
    int e = end_session(self, call, rpc_identity(call)->session_id);
    return rpc_reply_empty(call, e);
}

int account_service_revoke_session(struct fiber *self, struct rpc_call *call,
                                   const ProtobufCMessage *request) {
    int64_t id = REQUEST(RevokeSessionRequest)->session_id;
    if (id <= 0)
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "session_id",
                           "session_id must be the id of a session");
    int e = end_session(self, call, id);
    return rpc_reply_empty(call, e);
}

static Rookery__V1__Session *session_message(struct rpc_call *call, const struct session *s) {
    struct arena *a = rpc_arena(call);
    Rookery__V1__Session *m = ARENA_NEW(a, Rookery__V1__Session);
    rookery__v1__session__init(m);
    m->id = s->id;
    m->create_time = message_time(a, snowflake_time_ms(s->id));
    m->expire_time = message_time(a, s->expires_ms);
    m->user_agent = str_to_cstr(a, s->user_agent);
    m->current = s->id == rpc_identity(call)->session_id;
    return m;
}

int account_service_list_sessions(struct fiber *self, struct rpc_call *call,
                                  const ProtobufCMessage *request) {
    const Rookery__V1__ListSessionsRequest *in = REQUEST(ListSessionsRequest);
    struct page_request page;
    struct session *sessions;
    size_t n;
    int e = lists_page(call, LIST_SESSIONS, 0, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0)
        e = session_list(self, &gateway_of(call)->domain, caller_of(call), page.position.a, page.size + 1,
                         &sessions, &n, rpc_fault(call));
    if (e != 0) return e;
    bool more = n > (size_t)page.size;
    Rookery__V1__ListSessionsResponse reply = ROOKERY__V1__LIST_SESSIONS_RESPONSE__INIT;
    reply.n_sessions = more ? (size_t)page.size : n;
    reply.sessions = ARENA_ARRAY(rpc_arena(call), Rookery__V1__Session *, reply.n_sessions);
    for (size_t i = 0; i < reply.n_sessions; i++) reply.sessions[i] = session_message(call, &sessions[i]);
    reply.next_page_token = lists_next(call, &page, more, more ? sessions[reply.n_sessions - 1].id : 0, 0);
    rpc_reply(call, &reply.base);
    return 0;
}

int account_service_change_password(struct fiber *self, struct rpc_call *call,
                                    const ProtobufCMessage *request) {
    const Rookery__V1__ChangePasswordRequest *in = REQUEST(ChangePasswordRequest);
    struct rpc_identity who = *rpc_identity(call);
    struct gateway *g = gateway_of(call);
    int e = passwords_enter(self, g->passwords, rpc_network(call), rpc_fault(call));
    if (e != 0) return e;
    e = account_change_password(self, &g->domain, who.account_id, who.session_id,
                                str_from(in->current_password), str_from(in->new_password), rpc_fault(call));
    passwords_leave(g->passwords);
    return rpc_reply_empty(call, e);
}

static int find_account(struct fiber *self, struct rpc_call *call, const Rookery__V1__GetAccountRequest *in,
                        struct account *out) {
    struct domain *d = &gateway_of(call)->domain;
    enum error e;
    switch (in->account_case) {
    case ROOKERY__V1__GET_ACCOUNT_REQUEST__ACCOUNT_ID:
        e = account_get(self, d, in->id, out, rpc_fault(call));
        return e == ERR_NOT_FOUND ? fault_field(rpc_fault(call), e, "id", "there is no account with this id")
                                  : e;
    case ROOKERY__V1__GET_ACCOUNT_REQUEST__ACCOUNT_HANDLE:
        return account_get_by_handle(self, d, str_from(in->handle), out, rpc_fault(call));
    default:
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "id", "either id or handle must be given");
    }
}

int account_service_get_account(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct account account;
    struct graph_standing standing;
    int e = find_account(self, call, REQUEST(GetAccountRequest), &account);
    if (e == 0)
        e = graph_standing(self, &gateway_of(call)->domain, caller_of(call), account.id, &standing,
                           rpc_fault(call));
    if (e != 0) return e;
    Rookery__V1__GetAccountResponse reply = ROOKERY__V1__GET_ACCOUNT_RESPONSE__INIT;
    reply.account = message_account(rpc_arena(call), &account);
    reply.account->followed_by_viewer = standing.followed;
    reply.account->follows_viewer = standing.follows;
    reply.account->blocked_by_viewer = standing.blocked_by_viewer;
    reply.account->muted_by_viewer = standing.muted_by_viewer;
    rpc_reply(call, &reply.base);
    return 0;
}

/* Returns NULL when this member of the oneof is not set. */
static struct str chosen(bool set, const char *value) {
    return set ? str_from(value) : (struct str){0};
}

int account_service_update_profile(struct fiber *self, struct rpc_call *call,
                                   const ProtobufCMessage *request) {
    const Rookery__V1__UpdateProfileRequest *in = REQUEST(UpdateProfileRequest);
    struct gateway *g = gateway_of(call);
    bool name =
        in->new_display_name_case == ROOKERY__V1__UPDATE_PROFILE_REQUEST__NEW_DISPLAY_NAME_DISPLAY_NAME;
    bool bio = in->new_bio_case == ROOKERY__V1__UPDATE_PROFILE_REQUEST__NEW_BIO_BIO;
    struct account account;
    int e = account_update_profile(self, &g->domain, caller_of(call), chosen(name, in->display_name),
                                   chosen(bio, in->bio), &account, rpc_fault(call));
    if (e != 0) return e;
    account_cache_invalidate(g->accounts, account.id);
    Rookery__V1__UpdateProfileResponse reply = ROOKERY__V1__UPDATE_PROFILE_RESPONSE__INIT;
    reply.account = message_account(rpc_arena(call), &account);
    rpc_reply(call, &reply.base);
    return 0;
}
