-- Whether a job has tasks left is asked whenever one of them is done.
CREATE INDEX job_tasks_left ON job_tasks (job_id) WHERE NOT done;
-- Tasks go out in a fixed order, a window at a time: how many went out needs no column.
ALTER TABLE jobs DROP COLUMN tasks_queued, DROP COLUMN plan;
