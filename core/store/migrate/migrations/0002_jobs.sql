-- Datasets and jobs. The truth of the jobs lane: the streams only say what to look at next.

-- May make datasets by queries (rookery-worker grant).
ALTER TABLE accounts ADD COLUMN analyst boolean NOT NULL DEFAULT false;

-- Which stream a row leaves on: 0 events, 1 jobs.
ALTER TABLE outbox ADD COLUMN stream smallint NOT NULL DEFAULT 0;

CREATE TABLE datasets (
    id bigint PRIMARY KEY,
    owner_id bigint NOT NULL REFERENCES accounts,
    name text NOT NULL,
    idempotency_key text NOT NULL,
    source smallint NOT NULL, -- as rookery.v1.DatasetSource
    state smallint NOT NULL,  -- as rookery.v1.DatasetState
    size_bytes bigint NOT NULL, -- of an upload: as its header said
    received_bytes bigint NOT NULL DEFAULT 0, -- what is in dataset_chunks
    sha256 bytea, -- of an upload, as its header said
    hash_state bytea, -- of an upload: SHA-256 over what has been received (libsodium's state, little-endian machines)
    dialect bytea NOT NULL, -- rookery.v1.CsvDialect
    query text NOT NULL DEFAULT '',
    row_count bigint NOT NULL DEFAULT 0,
    columns bytea, -- rookery.v1.DescribeDatasetResponse with its columns only
    error text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0, -- of filling and of describing
    UNIQUE (owner_id, idempotency_key)
);
CREATE INDEX datasets_owner ON datasets (owner_id, id);

-- Bytes of the CSV, in order; seq counts from 0 without gaps.
CREATE TABLE dataset_chunks (
    dataset_id bigint NOT NULL REFERENCES datasets ON DELETE CASCADE,
    seq integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (dataset_id, seq)
);
ALTER TABLE dataset_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE dataset_shares (
    dataset_id bigint NOT NULL REFERENCES datasets ON DELETE CASCADE,
    account_id bigint NOT NULL REFERENCES accounts,
    PRIMARY KEY (dataset_id, account_id)
);
CREATE INDEX dataset_shares_account ON dataset_shares (account_id, dataset_id);

CREATE TABLE jobs (
    id bigint PRIMARY KEY,
    owner_id bigint NOT NULL REFERENCES accounts,
    dataset_id bigint NOT NULL, -- may be gone
    idempotency_key text,
    spec bytea NOT NULL, -- rookery.v1.JobSpec
    state smallint NOT NULL, -- as rookery.v1.JobState
    tasks integer NOT NULL DEFAULT 0,
    tasks_queued integer NOT NULL DEFAULT 0, -- the first so many have been put on the stream
    plan bytea, -- what every task and the combination need to know of the whole
    attempts integer NOT NULL DEFAULT 0, -- of planning and of combining
    error text NOT NULL DEFAULT '',
    notes text NOT NULL DEFAULT '',
    result_bytes bigint NOT NULL DEFAULT 0,
    touched_at timestamptz NOT NULL DEFAULT now(), -- the last step that got anywhere
    ended_at timestamptz
);
CREATE INDEX jobs_owner ON jobs (owner_id, id);
CREATE INDEX jobs_unended ON jobs (touched_at) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX jobs_idempotency ON jobs (owner_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE job_tasks (
    job_id bigint NOT NULL REFERENCES jobs ON DELETE CASCADE,
    task integer NOT NULL, -- from 0
    attempts integer NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (job_id, task)
);

-- A task's input, and what came of it: bytes in order, seq from 0. A task of -1 is the job's whole table.
CREATE TABLE job_parts (
    job_id bigint NOT NULL REFERENCES jobs ON DELETE CASCADE,
    task integer NOT NULL,
    seq integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (job_id, task, seq)
);
CREATE TABLE job_results (
    job_id bigint NOT NULL REFERENCES jobs ON DELETE CASCADE,
    task integer NOT NULL,
    seq integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (job_id, task, seq)
);
ALTER TABLE job_parts ALTER COLUMN bytes SET STORAGE EXTERNAL;
ALTER TABLE job_results ALTER COLUMN bytes SET STORAGE EXTERNAL;
