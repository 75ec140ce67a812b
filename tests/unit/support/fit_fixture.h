/* The scratch that all fits of a test program share. set_up and tear_down are cmocka group fixtures. */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_FIT_FIXTURE_H
#define ROOKERY_TESTS_UNIT_SUPPORT_FIT_FIXTURE_H

#include "workers/jobs/model/model.h"

static struct fit_scratch *scratch;

static inline int set_up(void **state) {
    (void)state;
    scratch = fit_scratch_new();
    return scratch ? 0 : -1;
}

static inline int tear_down(void **state) {
    (void)state;
    fit_scratch_free(scratch);
    return 0;
}

#endif
