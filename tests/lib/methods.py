"""For tests that try every method of the API: what there is, found from the protos, and calling it by its descriptor."""
from google.protobuf import message_factory
from rookery.v1 import account_pb2, graph_pb2, job_pb2, options_pb2, post_pb2, timeline_pb2

FILES = (account_pb2, graph_pb2, post_pb2, timeline_pb2, job_pb2)


def methods():
    return [m for file in FILES for s in file.DESCRIPTOR.services_by_name.values() for m in s.methods]


def permission_of(method):
    return method.GetOptions().Extensions[options_pb2.permission]


def make(descriptor):
    """The class of a message."""
    factory = getattr(message_factory, "GetMessageClass", None)
    return factory(descriptor) if factory else message_factory.MessageFactory().GetPrototype(descriptor)


def encode(request):
    return request if isinstance(request, bytes) else request.SerializeToString()


def caller(channel, method):
    """The callable of a method: its request is a message, or bytes as they go over the wire."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    return getattr(channel, kind)(path, encode, make(method.output_type).FromString)
