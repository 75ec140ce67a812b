"""For tests that try every method of the API: what there is, found from the protos, and calling it by its descriptor."""
import glob
import importlib
import os
import subprocess

from google.protobuf import message_factory
from path import ROOT, built
from rookery.v1 import options_pb2

# The module of every .proto file of the API, so that the methods of a new one are tried too.
FILES = [importlib.import_module(f"rookery.v1.{os.path.basename(path)[:-len('.proto')]}_pb2")
         for path in sorted(glob.glob(os.path.join(ROOT, "proto", "rookery", "v1", "*.proto")))]


def methods():
    return [m for file in FILES for s in file.DESCRIPTOR.services_by_name.values() for m in s.methods]


def served_methods():
    """The names of the methods that the gateway has, as it prints them: rookery.v1.PostService/GetPost."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOKERY_")}
    table = subprocess.run([built("rookery-gateway"), "methods"], env=environment, check=True, stdout=subprocess.PIPE,
                           text=True).stdout
    return {line.split()[0] for line in table.splitlines() if line.startswith("rookery.v1.")}


def name_of(method):
    return f"{method.containing_service.full_name}/{method.name}"


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
    path = "/" + name_of(method)
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    return getattr(channel, kind)(path, encode, make(method.output_type).FromString)
