/* JobService's handlers: datasets are in job_datasets.c, uploading in job_upload.c, jobs in job_service.c. */
#ifndef ROOKERY_GATEWAY_JOB_SERVICE_H
#define ROOKERY_GATEWAY_JOB_SERVICE_H

#include "core/domain/dataset.h"
#include "gateway/gateway.h"

rpc_handler upload_dataset, get_upload;
rpc_handler create_dataset_from_query, list_datasets, describe_dataset, share_dataset, unshare_dataset,
    delete_dataset;

Rookery__V1__Dataset *job_shape_dataset(struct arena *a, const struct dataset_record *row);

#endif
