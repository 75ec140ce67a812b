/* Numbers of jobs' steps that SQL knows by name, too (scripts/generate/statements.c). */
#ifndef ROOKERY_CORE_DOMAIN_JOB_STEP_H
#define ROOKERY_CORE_DOMAIN_JOB_STEP_H

/* A job's whole table belongs to no task: it is stored as the result of this one. */
#define JOB_WHOLE_TABLE (-1)

/* What is to be done next for a job or a dataset that has made no progress. */
enum job_step { JOB_STEP_PLAN = 1, JOB_STEP_TASK, JOB_STEP_COMBINE, JOB_STEP_QUERY, JOB_STEP_DESCRIBE };

#endif
