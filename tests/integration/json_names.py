#!/usr/bin/python3
"""Errors name a field as the caller wrote it, and a name that is no field's is refused with the nearest; in protobuf what is
unknown is skipped. Prints TAP. Runs against the shared stack."""
import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from callers import connect, People  # noqa: E402
from rookery.v1 import timeline_pb2 as tl  # noqa: E402
from stack import Person  # noqa: E402
from tap import check, done_testing  # noqa: E402


def refused(name, person, method, message, *wanted, unwanted=()):
    """A call's error holds these words, and not those."""
    try:
        person.call(method, **message)
        check(name, False, "it succeeded")
    except RuntimeError as error:
        said = str(error).split(": ", 1)[1]
        check(name, all(word in said for word in wanted) and not any(word in said for word in unwanted), said)


def detail(field, text):
    """A BadRequest as Connect has it in an error's details, without what comes behind the field's name."""
    inner = b"\n" + bytes([len(field)]) + field.encode() + b"\x12" + bytes([len(text)]) + text.encode()
    return base64.b64encode(b"\n" + bytes([len(inner)]) + inner).decode().rstrip("=")


ada = Person("ada")
refused("a rule of a text, in camel case", ada, "TimelineService/GetHomeTimeline", {"pageToken": "x" * 600}, "pageToken must be",
        unwanted=["page_token"])
refused("and as the .proto files have it", ada, "TimelineService/GetHomeTimeline", {"page_token": "x" * 600}, "page_token must be",
        unwanted=["pageToken"])
refused("a value of another kind", ada, "TimelineService/GetHomeTimeline", {"pageSize": "many"}, "pageSize must be")
refused("and as the .proto files have it", ada, "TimelineService/GetHomeTimeline", {"page_size": "many"}, "page_size must be")
refused("what a handler refuses", ada, "TimelineService/GetHomeTimeline", {"pageSize": 1000}, "pageSize must be", unwanted=["page_size"])
refused("and as the .proto files have it", ada, "TimelineService/GetHomeTimeline", {"page_size": 1000}, "page_size must be")
text = "there is no post with this postId"
refused("what is not found, with its details", ada, "PostService/GetPost", {"postId": "1"}, text, detail("postId", text))
refused("a part of a spec", ada, "JobService/CreateJob", {"datasetId": "1", "spec": {"log2Sum": {"genders": 3}}},
        "spec.log2Sum.genders", unwanted=["log2_sum"])
refused("what was not given", ada, "JobService/CreateJob", {"datasetId": "1", "spec": {"linear": {}}}, "datasetId: there is no",
        unwanted=["dataset_id"])
refused("a misspelled name", ada, "TimelineService/GetHomeTimeline", {"pagesize": 5},
        "pagesize is not a field of GetHomeTimelineRequest: did you mean pageSize?")
refused("one that is near none", ada, "PostService/GetPost", {"postId": "1", "everything": True},
        "everything is not a field of GetPostRequest, which has postId")
refused("where there are none", ada, "AccountService/Logout", {"now": True}, "now is not a field of LogoutRequest, which has no fields")

someone, = People(connect()).named("eve")
call = someone.channel.unary_unary("/rookery.v1.TimelineService/GetHomeTimeline", request_serializer=lambda m: m,
                                   response_deserializer=tl.GetHomeTimelineResponse.FromString)
unknown = tl.GetHomeTimelineRequest(page_size=3).SerializeToString() + b"\xfa\x3f\x05later"
check("in protobuf a field of a later release is skipped", list(call(unknown, **someone.me).items) == [])
done_testing()
