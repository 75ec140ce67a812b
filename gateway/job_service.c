/* JobService: its table. */
#include "gateway/job_service.h"

#include "gateway/services.h"

const struct rpc_method JOB_METHODS[] = {
    RPC_METHOD(JobService, UploadDataset, upload_dataset, upload_dataset, .kind = RPC_CLIENT_STREAM),
    RPC_METHOD(JobService, GetUpload, get_upload, get_upload, .side_effect_free = true),
    RPC_METHOD(JobService, CreateDatasetFromQuery, create_dataset_from_query, create_dataset_from_query),
    RPC_METHOD(JobService, ListDatasets, list_datasets, list_datasets, .side_effect_free = true),
    RPC_METHOD(JobService, DescribeDataset, describe_dataset, describe_dataset, .side_effect_free = true),
    RPC_METHOD(JobService, ShareDataset, share_dataset, share_dataset),
    RPC_METHOD(JobService, UnshareDataset, unshare_dataset, unshare_dataset),
    RPC_METHOD(JobService, DeleteDataset, delete_dataset, delete_dataset),
};
const size_t N_JOB_METHODS = sizeof JOB_METHODS / sizeof *JOB_METHODS;
