#!/usr/bin/python3
"""Measures JobService from a client: jobs_service.py quick COUNT | many JOBS SLICES.

quick prints the median milliseconds from CreateJob to the end that WatchJob tells, of jobs with three slices.
many prints the rows per second of so many concurrent jobs, each of that many slices of 100 rows, from the first CreateJob to
the last end; the best of three rounds."""
import os
import sys
import time

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/lib"))
from jobs import Jobs, jp, linear, many_slices  # noqa: E402


def seconds(who, dataset, jobs=1):
    begun = time.monotonic()
    made = [who.create(dataset, linear("y", ["x"], ["key"])) for _ in range(jobs)]
    ended = [who.watch(job.id)[-1] for job in made]
    took = time.monotonic() - begun
    for job in ended:
        if job.state != jp.JOB_STATE_SUCCEEDED:
            sys.exit(f"a job failed: {job.error}")
    return took


def main():
    who = Jobs("bench", grpc.insecure_channel(os.environ["GATEWAY"]))
    if sys.argv[1] == "quick":
        dataset = who.upload(many_slices(3, 20), "quick")
        times = sorted(seconds(who, dataset) for _ in range(int(sys.argv[2])))
        print(f"{times[len(times) // 2] * 1e3:.1f}")
    else:
        jobs, slices = int(sys.argv[2]), int(sys.argv[3])
        dataset = who.upload(many_slices(slices, 100), "many")
        print(f"{jobs * slices * 100 / min(seconds(who, dataset, jobs) for _ in range(3)):.0f}")


main()
