/* Results for people and programs: tables as CSV or JSON (results.h), aligned in a terminal (display.h), and pictures
 * (plot.h, titles.h, svg.h), made of characters of some width (glyph.h). The files they go to (output.h), and the line
 * that sums them up (summary.h). */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_REPORT_H
#define ROOKERY_WORKERS_JOBS_REPORT_REPORT_H

#include "workers/jobs/report/display.h"
#include "workers/jobs/report/glyph.h"
#include "workers/jobs/report/output.h"
#include "workers/jobs/report/plot.h"
#include "workers/jobs/report/results.h"
#include "workers/jobs/report/summary.h"
#include "workers/jobs/report/svg.h"
#include "workers/jobs/report/titles.h"

#endif
