/* JobService: datasets. */
#include <inttypes.h>

#include "core/codec/codec.h"
#include "gateway/answer/lists.h"
#include "gateway/answer/shape.h"
#include "gateway/service/job/job.h"
#include "gateway/service/service.h"

Rookery__V1__Dataset *job_shape_dataset(struct arena *a, const struct dataset_record *row) {
    Rookery__V1__Dataset *out = ARENA_NEW(a, Rookery__V1__Dataset);
    rookery__v1__dataset__init(out);
    out->id = row->id;
    out->owner_id = row->owner_id;
    out->name = str_to_cstr(a, row->name);
    out->source = row->source;
    out->state = row->state;
    out->size_bytes = row->size_bytes;
    out->row_count = row->row_count;
    out->create_time = message_time(a, snowflake_time_ms(row->id));
    out->error = str_to_cstr(a, row->error);
    return out;
}

int job_service_create_dataset_from_query(struct fiber *self, struct rpc_call *call,
                                          const ProtobufCMessage *request) {
    const Rookery__V1__CreateDatasetFromQueryRequest *in = REQUEST(CreateDatasetFromQueryRequest);
    struct dataset_draft draft = {
        .owner_id = caller_of(call),
        .name = str_from(in->name),
        .idempotency_key = str_from(in->idempotency_key),
        .source = ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_QUERY,
        .query = str_from(in->query),
    };
    struct dataset_record row;
    int e = dataset_create(self, &gateway_of(call)->domain, &draft, &row, rpc_fault(call));
    if (e != 0) return e;
    Rookery__V1__CreateDatasetFromQueryResponse reply = ROOKERY__V1__CREATE_DATASET_FROM_QUERY_RESPONSE__INIT;
    reply.dataset = job_shape_dataset(rpc_arena(call), &row);
    rpc_reply(call, &reply.base);
    return 0;
}

/* The view's rows of those hours, in an order that makes the same rows the same bytes. A text, put together here,
 * because it is stored with the dataset and run as an analyst's query. */
static const char *engagement_query(struct arena *a,
                                    const Rookery__V1__CreateDatasetFromEngagementRequest *in) {
    int64_t end = in->end_hour == 0 ? INT64_MAX : in->end_hour;
    const char *view = in->view == ROOKERY__V1__ENGAGEMENT_VIEW__ENGAGEMENT_VIEW_IMPRESSIONS ? "engagement"
                       : in->view == ROOKERY__V1__ENGAGEMENT_VIEW__ENGAGEMENT_VIEW_HASHTAG_HOURS
                           ? "hashtag_hours"
                           : NULL;
    if (!view) return NULL;
    return arena_printf(a,
                        "SELECT * FROM analytics.%s AS rows WHERE hour >= %" PRId64 " AND hour < %" PRId64
                        " ORDER BY rows",
                        view, in->start_hour, end);
}

int job_service_create_dataset_from_engagement(struct fiber *self, struct rpc_call *call,
                                               const ProtobufCMessage *request) {
    const Rookery__V1__CreateDatasetFromEngagementRequest *in = REQUEST(CreateDatasetFromEngagementRequest);
    const char *query = engagement_query(rpc_arena(call), in);
    if (!query)
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "view",
                           "view must be IMPRESSIONS or HASHTAG_HOURS");
    struct dataset_draft draft = {
        .owner_id = caller_of(call),
        .name = str_from(in->name),
        .idempotency_key = str_from(in->idempotency_key),
        .source = ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_ENGAGEMENT,
        .query = str_from(query),
    };
    struct dataset_record row;
    int e = dataset_create(self, &gateway_of(call)->domain, &draft, &row, rpc_fault(call));
    if (e != 0) return e;
    Rookery__V1__CreateDatasetFromEngagementResponse reply =
        ROOKERY__V1__CREATE_DATASET_FROM_ENGAGEMENT_RESPONSE__INIT;
    reply.dataset = job_shape_dataset(rpc_arena(call), &row);
    rpc_reply(call, &reply.base);
    return 0;
}

int job_service_list_datasets(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__ListDatasetsRequest *in = REQUEST(ListDatasetsRequest);
    struct arena *a = rpc_arena(call);
    struct page_request page;
    struct dataset_record *rows;
    size_t n;
    int e = lists_page(call, LIST_DATASETS, 0, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0)
        e = dataset_list(self, &gateway_of(call)->domain, caller_of(call), page.position.a, page.size + 1,
                         &rows, &n, rpc_fault(call));
    if (e != 0) return e;
    bool more = n > (size_t)page.size;
    Rookery__V1__ListDatasetsResponse reply = ROOKERY__V1__LIST_DATASETS_RESPONSE__INIT;
    reply.n_datasets = more ? (size_t)page.size : n;
    reply.datasets = ARENA_ARRAY(a, Rookery__V1__Dataset *, reply.n_datasets);
    for (size_t i = 0; i < reply.n_datasets; i++) reply.datasets[i] = job_shape_dataset(a, &rows[i]);
    reply.next_page_token = lists_next(call, &page, more, more ? rows[reply.n_datasets - 1].id : 0, 0);
    rpc_reply(call, &reply.base);
    return 0;
}

/* What only the owner may see. */
static int describe_to_owner(struct fiber *self, struct rpc_call *call, const struct dataset_record *row,
                             Rookery__V1__DescribeDatasetResponse *reply) {
    reply->query = str_to_cstr(rpc_arena(call), row->query);
    return dataset_shares(self, &gateway_of(call)->domain, row->id, &reply->shared_with,
                          &reply->n_shared_with, rpc_fault(call));
}

int job_service_describe_dataset(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct arena *a = rpc_arena(call);
    struct dataset_record row;
    Rookery__V1__DescribeDatasetResponse reply = ROOKERY__V1__DESCRIBE_DATASET_RESPONSE__INIT;
    int e = dataset_get(self, &gateway_of(call)->domain, caller_of(call),
                        REQUEST(DescribeDatasetRequest)->dataset_id, &row, rpc_fault(call));
    if (e == 0 && row.owner_id == caller_of(call)) e = describe_to_owner(self, call, &row, &reply);
    if (e != 0) return e;
    Rookery__V1__DescribeDatasetResponse *kept = (void *)pb_decode(
        &rookery__v1__describe_dataset_response__descriptor, row.columns, a, rpc_fault(call));
    Rookery__V1__CsvDialect *dialect =
        (void *)pb_decode(&rookery__v1__csv_dialect__descriptor, row.dialect, a, rpc_fault(call));
    if (!kept || !dialect) return rpc_fault(call)->error;
    reply.dataset = job_shape_dataset(a, &row);
    reply.dialect = dialect;
    reply.columns = kept->columns;
    reply.n_columns = kept->n_columns;
    rpc_reply(call, &reply.base);
    return 0;
}

int job_service_share_dataset(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__ShareDatasetRequest *in = REQUEST(ShareDatasetRequest);
    int e = dataset_share(self, &gateway_of(call)->domain, caller_of(call), in->dataset_id, in->account_id,
                          rpc_fault(call));
    return rpc_reply_empty(call, e);
}

int job_service_unshare_dataset(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__UnshareDatasetRequest *in = REQUEST(UnshareDatasetRequest);
    int e = dataset_unshare(self, &gateway_of(call)->domain, caller_of(call), in->dataset_id, in->account_id,
                            rpc_fault(call));
    return rpc_reply_empty(call, e);
}

int job_service_delete_dataset(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int e = dataset_delete(self, &gateway_of(call)->domain, caller_of(call),
                           REQUEST(DeleteDatasetRequest)->dataset_id, rpc_fault(call));
    return rpc_reply_empty(call, e);
}
