#!/usr/bin/python3
"""Jobs while workers are killed, stopped and paused and Redis is wiped: the table is the same, byte for byte. And what
becomes of jobs that are cancelled, cannot be done, or are too many. Starts servers and daemons of its own.

Prints TAP. Needs ROOKERY_BUILD and the stubs on PYTHONPATH.
"""
import os
import sys

import grpc
from rookery.v1 import job_pb2 as jp

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs import FINAL, Jobs, command_line, linear, many_slices  # noqa: E402
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually, fails_with, note  # noqa: E402

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
# A slow machine may kill the workers that have a step in hand many times before one has done it: how often a step is
# begun is limited where that is what is tried.
SETTINGS = {"ROOKERY_RECLAIM_MS": 300, "ROOKERY_JOB_PART_ROWS": 200, "ROOKERY_JOB_TASKS": 300, "ROOKERY_MAX_DELIVERIES": 1000,
            "ROOKERY_JOBS_PER_ACCOUNT": 2, "ROOKERY_DATASETS_PER_ACCOUNT": 3, "ROOKERY_JOB_STALL_S": 2, "ROOKERY_QUERY_TIMEOUT_MS": 1500,
            "ROOKERY_QUERY_ROWS": 1000, "ROOKERY_ROLES": "relay,jobs"}
CONTENT = many_slices(250, 100)
SPEC = linear("y", ["x", "z"], ["key"], missing=jp.MISSING_POLICY_MEAN, exact=True)
WORDS = ("fit", "--slice-by", "key", "--y", "y", "--x", "x,z", "--missing", "mean", "--exact")


class Workers:
    """Some workers, by number; each start is another process."""

    def __init__(self, stack, number):
        self.stack, self.started, self.settings = stack, 0, {}
        self.alive = [self.another() for _ in range(number)]

    def another(self):
        self.started += 1
        self.stack.worker(f"worker-{self.started}", **self.settings)
        return f"worker-{self.started}"

    def replace_all(self, **settings):
        """Stops all; as many others, with these settings, take their place."""
        number, self.settings = len(self.alive), settings
        self.stop_all()
        self.alive = [self.another() for _ in range(number)]

    def replace_first(self, signal):
        name = self.alive.pop(0)
        self.stack.kill(name, signal)
        self.alive.append(self.another())
        return name

    def stop_all(self):
        for name in self.alive:
            self.stack.stop(name)
        self.alive = []


def alone_story(stack, ada, dataset, wanted):
    """Every step puts the next ones on the stream: a relay is only for those that died in between."""
    stack.worker("no-relay", ROOKERY_ROLES="jobs", ROOKERY_JOB_STALL_S=3600)
    same_table(ada, ada.create(dataset, SPEC), "a job ends while no relay runs", wanted)
    small = ada.upload(many_slices(2, 10), "one task")
    ended = ada.ended(ada.create(small, linear("y", ["x"], ["key"])).id)
    check("one of a single task, too", ended.state == jp.JOB_STATE_SUCCEEDED and ended.task_count == 1, ended)
    ada.stub.DeleteDataset(jp.DeleteDatasetRequest(dataset_id=small), **ada.me)
    stack.stop("no-relay")


def at_work(ada, dataset):
    """A new job, of which some tasks are done and some are not. One may have ended before it is seen so: then another."""
    for _ in range(20):
        job = ada.create(dataset, SPEC)
        progress(ada, job, 1)
        if ada.get(job.id).state not in FINAL:
            break
    check("a job is at work", ada.get(job.id).state not in FINAL, ada.get(job.id))
    return job


def progress(ada, job, done):
    """Waits until more tasks than `done` are done, or the job has ended: how many are done."""
    eventually(lambda: ada.get(job.id).state in FINAL or ada.get(job.id).tasks_done > done)
    return ada.get(job.id).tasks_done


def same_table(ada, job, name, wanted):
    ended = ada.ended(job.id)
    check(name, ended.state == jp.JOB_STATE_SUCCEEDED and ada.result(job.id) == wanted, ended)


def number_story(stack, ada, dataset, wanted):
    for number in (1, 2):
        workers = Workers(stack, number)
        job = ada.create(dataset, SPEC)
        same_table(ada, job, f"{number} worker{'s' * (number > 1)}: the command line's table, byte for byte", wanted)
        check("of more than a hundred tasks", ada.get(job.id).task_count > 100, ada.get(job.id))
        workers.stop_all()


def killing_story(stack, ada, dataset, wanted):
    workers = Workers(stack, 2)
    job = at_work(ada, dataset)
    kills, done = 0, ada.get(job.id).tasks_done
    while ada.get(job.id).state not in FINAL and kills < 12:
        workers.replace_first("KILL")
        kills += 1
        done = progress(ada, job, done)
    note(f"{kills} workers were killed")
    check("workers were killed while the job ran", kills >= 1, kills)
    same_table(ada, job, "workers killed in mid-job change nothing in the table", wanted)
    job = ada.create(dataset, SPEC)
    for _ in range(4):
        workers.replace_first("KILL")
    same_table(ada, job, "nor those killed while it is planned", wanted)
    job = at_work(ada, dataset)
    paused = workers.alive[0]
    stack.kill(paused, "STOP")
    same_table(ada, job, "what a paused worker has in hand is taken over", wanted)
    stack.kill(paused, "CONT")
    check("and when it goes on, nothing changes", eventually(lambda: stack.settled("jobs", "jobs"))
          and ada.result(job.id) == wanted)
    job = at_work(ada, dataset)
    workers.replace_first("TERM")
    same_table(ada, job, "a worker that is asked to stop hands back what it has", wanted)
    return workers


def long_story(stack, ada, workers):
    """One step that takes longer than ROOKERY_RECLAIM_MS, with another worker that has nothing to do: it waits for a table
    that the test has locked, and then computes. The time is long enough for a worker that gets no processor for seconds."""
    workers.replace_all(ROOKERY_RECLAIM_MS=4000, ROOKERY_JOB_STALL_S=60)
    dataset = ada.upload(many_slices(1, 60_000), "one slice")
    held = stack.lock("dataset_chunks")
    job = ada.create(dataset, linear("y", ["x", "z"], ["key"], missing=jp.MISSING_POLICY_KNN, predictors=["x", "z"]))
    step = lambda: stack.sql(f"SELECT attempts, now() - touched_at > '6 s' FROM jobs WHERE id = {job.id}")  # noqa: E731
    check("nobody takes a step from the worker that is at it", eventually(lambda: step() == "1|t"), step())
    held.close()
    ended = ada.ended(job.id)
    check("a long step ends", ended.state == jp.JOB_STATE_SUCCEEDED and len(workers.alive) > 1, ended)
    check("and was begun once", step().startswith("1|"), step())
    workers.replace_all()
    ada.stub.DeleteDataset(jp.DeleteDatasetRequest(dataset_id=dataset), **ada.me)


def halted_at_work(stack, ada, dataset, workers):
    """A job of whose tasks more than half are left, while all workers are halted; and how many are done. One that is too far
    may end: then another."""
    for _ in range(20):
        job = at_work(ada, dataset)
        for name in workers.alive:
            stack.kill(name, "STOP")
        now = ada.get(job.id)
        if now.state not in FINAL and now.tasks_done < now.task_count / 2:
            break
        for name in workers.alive:
            stack.kill(name, "CONT")
        ada.ended(job.id)
    check("a job is in its first half", now.state not in FINAL and now.tasks_done < now.task_count / 2, now)
    return now


def fair_story(stack, ada, workers):
    """A short job made while a long one's tasks are under way. The database notes how many of these are done when it ends:
    those that were on the stream before it (ROLE_WINDOW), and some."""
    tiny = ada.upload(many_slices(3, 10), "tiny")
    dataset = ada.upload(many_slices(560, 100), "280 tasks")
    long = halted_at_work(stack, ada, dataset, workers)
    stack.sql("CREATE TABLE noted (id bigint, done int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
              "AS $$ BEGIN INSERT INTO noted SELECT NEW.id, CASE WHEN ended_at IS NULL THEN (SELECT count(*) FROM job_tasks "
              f"WHERE job_id = {long.id} AND done) ELSE tasks END FROM jobs WHERE id = {long.id}; RETURN NULL; END $$; "
              "CREATE TRIGGER note AFTER UPDATE ON jobs FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) "
              "EXECUTE FUNCTION note()")
    waiting = lambda: sum(stack.redis("XLEN", f"jobs:{{{p}}}") for p in range(4))  # noqa: E731
    before = waiting()
    short = ada.create(tiny, linear("y", ["x"], ["key"]))
    check("it is on the stream", eventually(lambda: waiting() > before))
    for name in workers.alive:
        stack.kill(name, "CONT")
    check("it ends", ada.ended(short.id).state == jp.JOB_STATE_SUCCEEDED)
    done = int(stack.sql(f"SELECT done FROM noted WHERE id = {short.id}"))
    note(f"of {long.task_count} tasks of a long job, {long.tasks_done} were done when a short one came, {done} when it ended")
    check("a short job does not wait for most of a long one's tasks",
          done - long.tasks_done < (long.task_count - long.tasks_done) / 2, done)
    ada.cancel(long.id)
    stack.sql("DROP TRIGGER note ON jobs; DROP FUNCTION note(); DROP TABLE noted")
    for made in (tiny, dataset):
        ada.stub.DeleteDataset(jp.DeleteDatasetRequest(dataset_id=made), **ada.me)


def wiping_story(stack, ada, dataset, wanted):
    job = at_work(ada, dataset)
    stack.kill("redis")
    stack.wait("redis")
    stack.sh('rm -rf "$DATA/redis" && redis_start redis')
    same_table(ada, job, "Redis wiped in mid-job: it still ends, with the same table", wanted)
    job = at_work(ada, dataset)
    stack.redis("FLUSHALL")
    same_table(ada, job, "the same when Redis is emptied under the same process", wanted)


def cancelling_story(stack, ada, dataset):
    job = at_work(ada, dataset)
    ada.cancel(job.id)
    check("a job that is cancelled in mid-work keeps nothing", eventually(lambda: stack.sql(
        "SELECT (SELECT count(*) FROM job_parts) + (SELECT count(*) FROM job_results r JOIN jobs j ON j.id = r.job_id"
        " WHERE j.state <> 4)") == "0"))
    check("its messages lead to nothing", eventually(lambda: stack.settled("jobs", "jobs")), stack.groups("jobs"))
    check("and it stays cancelled", ada.get(job.id).state == jp.JOB_STATE_CANCELLED)


def failing_story(stack, ada, dataset, workers):
    job = at_work(ada, dataset)
    stack.sql(f"UPDATE job_parts SET bytes = 'rubbish' WHERE job_id = {job.id}")
    ended = ada.ended(job.id)
    check("a part that cannot be read ends the job with a sentence",
          ended.state == jp.JOB_STATE_FAILED and "part " in ended.error, ended)
    many = ada.upload(many_slices(700, 100), "too many tasks")
    ended = ada.ended(ada.create(many, SPEC).id)
    check("a job of too many tasks fails, naming the limit",
          ended.state == jp.JOB_STATE_FAILED and "more than 300 tasks" in ended.error, ended)
    for p in range(4):
        stack.redis("XADD", f"jobs:{{{p}}}", "*", "e", "this is no step")
    workers.stop_all()
    workers.settings = {"ROOKERY_MAX_DELIVERIES": 3}
    poison = ada.create(dataset, SPEC)
    stack.sql(f"UPDATE jobs SET spec = '\\xff' WHERE id = {poison.id}")
    workers.alive = [workers.another()]
    states = lambda: stack.sql(f"SELECT state, error FROM jobs WHERE id = {poison.id}")  # noqa: E731
    check("a job whose step goes to the dead letters has failed, with the reason",
          eventually(lambda: states() == "5|the spec cannot be read"), states())
    letters = lambda: sum(stack.redis("XLEN", f"dead:{{{p}}}") for p in range(4))  # noqa: E731
    check("its step and what is no step are there", eventually(lambda: letters() == 5), letters())
    stack.sql(f"DELETE FROM jobs WHERE id = {poison.id}")
    workers.stop_all()
    never = ada.create(dataset, SPEC)
    stack.sql(f"UPDATE jobs SET attempts = 1000 WHERE id = {never.id}")
    workers.alive = [workers.another()]
    ended = ada.ended(never.id)
    check("a step that was begun again and again ends the job", ended.state == jp.JOB_STATE_FAILED
          and "never finished" in ended.error, ended)


def full_disk_story(stack, ada, workers):
    """A worker that can make no larger file than 128 KiB, as on a disk that is nearly full; then one with room."""
    workers.stop_all()
    dataset = ada.upload_only(many_slices(1000, 3), "a large table")
    words = " ".join(f"{name}={value}" for name, value in stack.settings.items())
    stack.sh(f"daemon_start cramped {words} bash -c 'trap \"\" XFSZ; ulimit -f 128; exec \"$0\"' \"$BUILD/rookery-worker\"")
    ada.settled(dataset)
    job = ada.create(dataset, linear("y", ["x"], ["key"]))
    check("a worker without room for a file says so", eventually(lambda: "File too large" in stack.log("cramped")))
    check("the job waits for one with room, and is told nothing of it", not ada.get(job.id).error
          and ada.get(job.id).state not in FINAL, ada.get(job.id))
    stack.stop("cramped")
    workers.alive = [workers.another()]
    check("and that one ends it", ada.ended(job.id).state == jp.JOB_STATE_SUCCEEDED, ada.get(job.id))
    ada.stub.DeleteDataset(jp.DeleteDatasetRequest(dataset_id=dataset), **ada.me)


def quota_story(stack, ada, dataset, workers):
    workers.stop_all()
    running = [ada.create(dataset, SPEC) for _ in range(2)]
    fails_with("an account may have so many jobs running, and no more", EXHAUSTED, lambda: ada.create(dataset, SPEC),
               "2 jobs running")
    ada.cancel(running[0].id)
    running.append(ada.create(dataset, SPEC))
    check("when one has ended there is room", running[-1].state == jp.JOB_STATE_PLANNING)
    ada.upload_only(b"x\n1\n", "third")
    fails_with("an account may have so many datasets, and no more", EXHAUSTED,
               lambda: ada.upload_only(b"x\n1\n", "fourth"), "at most 3 datasets")
    workers.alive = [workers.another()]
    check("what waited runs when there is a worker again",
          ada.ended(running[1].id).state == ada.ended(running[2].id).state == jp.JOB_STATE_SUCCEEDED)


def query_story(stack, channel):
    """An analyst's queries that take too much."""
    bob = Jobs("bob", channel)
    stack.sql(f"UPDATE accounts SET analyst = true WHERE id = {bob.id}")

    def ask(query):
        return bob.stub.CreateDatasetFromQuery(jp.CreateDatasetFromQueryRequest(
            name="asked", query=query, idempotency_key=query[:64]), **bob.me).dataset.id
    slow = bob.settled(ask("SELECT set_config('statement_timeout', '0', false), pg_sleep(30)")).dataset
    check("a query that takes too long is ended, whatever it sets",
          slow.state == jp.DATASET_STATE_FAILED and "statement timeout" in slow.error, slow)
    big = bob.settled(ask("SELECT g FROM generate_series(1, 1001) g")).dataset
    check("a query that gives too many rows is ended, naming the limit",
          big.state == jp.DATASET_STATE_FAILED and "more than the 1000 rows" in big.error, big)
    exact = bob.settled(ask("SELECT g FROM generate_series(1, 1000) g")).dataset
    check("one that gives just as many is fine", exact.row_count == 1000, exact)
    bob.stub.DeleteDataset(jp.DeleteDatasetRequest(dataset_id=slow.id), **bob.me)
    stack.sql("CREATE FUNCTION analytics.out_of_disk() RETURNS int LANGUAGE plpgsql AS"
              " $$BEGIN RAISE 'could not extend file base/1' USING ERRCODE = '53100'; END$$")
    full = bob.settled(ask("SELECT analytics.out_of_disk()")).dataset
    check("of a fault of the server's own the analyst is not told the server's sentence",
          full.state == jp.DATASET_STATE_FAILED and "never finished" in full.error and "base" not in full.error, full)
    bob.stub.DeleteDataset(jp.DeleteDatasetRequest(dataset_id=full.id), **bob.me)
    stack.sql("ALTER ROLE rookery_analyst SUPERUSER")
    unfit = bob.settled(ask("SELECT 1 AS one")).dataset
    stack.sql("ALTER ROLE rookery_analyst NOSUPERUSER")
    check("a role that may do too much is not used",
          unfit.state == jp.DATASET_STATE_FAILED and "may do too much" in unfit.error, unfit)


def main():
    with Stack() as stack:
        stack.gateway(**SETTINGS)
        channel = grpc.insecure_channel(f"{stack.address[0]}:{stack.address[1]}")
        ada = Jobs("ada", channel)
        first = Workers(stack, 1)
        dataset = ada.upload(CONTENT, "many slices")
        first.stop_all()
        wanted = command_line(CONTENT, *WORDS)
        alone_story(stack, ada, dataset, wanted)
        number_story(stack, ada, dataset, wanted)
        workers = killing_story(stack, ada, dataset, wanted)
        long_story(stack, ada, workers)
        fair_story(stack, ada, workers)
        wiping_story(stack, ada, dataset, wanted)
        cancelling_story(stack, ada, dataset)
        full_disk_story(stack, ada, workers)
        failing_story(stack, ada, dataset, workers)
        quota_story(stack, ada, dataset, workers)
        query_story(stack, channel)
    done_testing()


main()
