#!/usr/bin/python3
"""Every text that a request may hold has a rule in the proto, and is held against it before anybody works with it: a megabyte,
what is no UTF-8, a control character in a line and one character too many are refused with the field's name; as many of the
longest emoji as the proto says are taken. Prints TAP."""
import itertools
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from callers import connect, People  # noqa: E402
from methods import caller, make, methods, permission_of  # noqa: E402
from rookery.v1 import options_pb2  # noqa: E402
from stack import worker  # noqa: E402
from tap import check, done_testing  # noqa: E402

MEGABYTE = 1_000_000
# A family of six with skin tones: one character.
EMOJI = "\u200D".join(f"{person}{tone}" for person, tone in zip(
    "\U0001F468\U0001F469\U0001F467\U0001F466\U0001F467\U0001F466",
    "\U0001F3FF\U0001F3FB\U0001F3FD\U0001F3FE\U0001F3FC\U0001F3FF"))
THUMB = "\U0001F44D\U0001F3FD"
PLACEHOLDER = b"placeholder"
INVALID, INTERNAL, EXHAUSTED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL,
                                grpc.StatusCode.RESOURCE_EXHAUSTED)
numbers = itertools.count()
PATIENCE_S = 60


def texts_of(descriptor, path=()):
    """The ways to each text of a message, as lists of field descriptors."""
    for field in descriptor.fields:
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            yield path + (field,)
        elif field.type == field.TYPE_MESSAGE and field.message_type.file.package == "rookery.v1":
            yield from texts_of(field.message_type, path + (field,))


class Rule:
    def __init__(self, field):
        of = field.GetOptions().Extensions
        self.form, self.bytes = of[options_pb2.normal_form], field.type == field.TYPE_BYTES
        self.max_bytes, self.min_bytes = of[options_pb2.max_bytes], of[options_pb2.min_bytes]
        # Of 500 families no post is made: the bound in bytes is for texts that nobody writes.
        self.character = THUMB if self.form != options_pb2.NORMAL_FORM_AS_IS and self.max_bytes else EMOJI
        self.max_characters = of[options_pb2.max_characters]
        self.is_handle = self.form == options_pb2.NORMAL_FORM_HANDLE

    def right(self):
        """A text that the rule takes, another one each time."""
        text = f"right{next(numbers)}x{os.getpid()}".ljust(self.min_bytes, "x")
        text = text[: self.max_bytes or None]
        return text.encode() if self.bytes else text


def is_single_text(field):
    is_text = field.type in (field.TYPE_STRING, field.TYPE_BYTES)
    return is_text and field.label != field.LABEL_REPEATED and not field.containing_oneof


def put(message, path, value):
    """The value at the end of the way, and right texts beside the way."""
    field, rest = path[0], path[1:]
    for other in message.DESCRIPTOR.fields:
        if is_single_text(other):
            setattr(message, other.name, Rule(other).right())
    if rest:
        inner = getattr(message, field.name)
        put(inner.add() if field.label == field.LABEL_REPEATED else inner, rest, value)
    elif field.label == field.LABEL_REPEATED:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def request_with(method, path, value):
    request = make(method.input_type)()
    put(request, path, value)
    return request.SerializeToString()


def call(channel, method, request, metadata):
    sent = iter([request]) if method.client_streaming else request
    result = caller(channel, method)(sent, metadata=metadata, timeout=PATIENCE_S)
    if method.server_streaming:
        for _ in result:
            pass


def code_of(channel, method, request, metadata):
    try:
        call(channel, method, request, metadata)
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as error:
        return error.code(), error.details()


def wrong_texts(rule, path):
    """What is wrong with a text, the text, and what must be said of it, behind the field's name."""
    most = f"must be .*{rule.max_bytes} bytes, this has {MEGABYTE}"
    if rule.is_handle:
        most = "must be 1 to 30 of a-z, 0-9 and _"
        yield "of 31 letters", "a" * (rule.max_characters + 1), most
        yield "with a blank", "a b", most
    elif rule.max_characters:
        most = rf"must be at most \d+ bytes, this has {MEGABYTE}"
        many = rule.max_characters + 1
        yield f"of {many} emoji", rule.character * many, f"must be .*{rule.max_characters} characters, this has {many}"
        if rule.max_bytes:
            families = rule.max_bytes // len(EMOJI.encode()) + 1
            yield f"of {families} families", EMOJI * families, f"must be at most {rule.max_bytes} bytes, this has .*"
        yield "of marks", "a" + "\u0351" * 1000, "must have at most 64 bytes in a character .*, this has one of 2001"
    if rule.form == options_pb2.NORMAL_FORM_LINE:
        for text in ("a\x01", "a\nb", "a\u2028b"):
            yield f"with {text!a}", text, "must be one line without control characters"
        yield "that turns round", "a\u202Eb", "must have no bidirectional .*"
    if rule.form == options_pb2.NORMAL_FORM_LINES:
        yield "with a control character", "a\x01", "must have no control characters but line feeds"
    yield "of a megabyte", b"a" * MEGABYTE if rule.bytes else "a" * MEGABYTE, most


def try_text(channel, method, path, metadata, public):
    rule = Rule(path[-1])
    where = ".".join(field.name for field in path)
    name = f"{method.name}: {where}"
    if rule.max_bytes > MEGABYTE:
        return
    for what, text, said in wrong_texts(rule, path):
        code, details = code_of(channel, method, request_with(method, path, text), metadata)
        if public and len(text) == MEGABYTE:  # a stranger's message is not read that far
            right = code == EXHAUSTED and re.fullmatch(r"a message of \d+ bytes is larger than \d+", details)
        else:
            right = code == INVALID and re.fullmatch(f"{re.escape(where)} {said}", details)
        check(f"{name} {what} is refused", right, (code, details))
    if rule.bytes:
        return
    broken = request_with(method, path, PLACEHOLDER.decode()).replace(PLACEHOLDER, b"placeh\xFFlder")
    code, details = code_of(channel, method, broken, metadata)
    check(f"{name} that is no UTF-8 is refused", code == INTERNAL and path[-1].name in details, (code, details))
    if rule.max_characters:
        text = rule.right().ljust(30, "a") if rule.is_handle else rule.character * rule.max_characters
        code, details = code_of(channel, method, request_with(method, path, text), metadata)
        check(f"{name} of {rule.max_characters} characters is taken", not details.startswith(where + " must"), (code, details))


channel = connect()
ada, = People(channel).named("ada")
worker("grant", ada.handle, "analyst")  # who may call every method
for method in methods():
    public = permission_of(method) == options_pb2.PERMISSION_ANYBODY
    for path in texts_of(method.input_type):
        try_text(channel, method, path, () if public else ada.me["metadata"], public)
done_testing()
