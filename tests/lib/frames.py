"""HTTP/2 as bytes, for tests that speak it over raw sockets as no client library would."""
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW = 4


def frame(kind, flags, stream, payload=b"", length=None):
    """length: as the frame says, which may be a lie."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def begin(*settings):
    """A client's first bytes, with its settings as (number, value), and the acknowledgement of the server's."""
    return PREFACE + frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *s) for s in settings)) + frame(SETTINGS, ACK, 0)


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, out = len(value) - 127, b"\x7f"
    while rest >= 128:
        out += bytes([rest & 127 | 128])
        rest >>= 7
    return out + bytes([rest]) + value


def fields(*pairs):
    """Literal fields, never indexed."""
    return b"".join(b"\x10" + text(name) + text(value) for name, value in pairs)


def head(stream, method, token="", *more, end=False):
    """The HEADERS frame of a gRPC call. A method of another package has its whole path."""
    path = method if method.startswith("/") else "/rookery.v1." + method
    pairs = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
             ("content-type", "application/grpc"), ("te", "trailers"), *more]
    if token:
        pairs.append(("authorization", "Bearer " + token))
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, fields(*pairs))


def data(stream, payload, end=False):
    """DATA frames of at most 16 KiB."""
    pieces = [payload[i:i + 16384] for i in range(0, len(payload), 16384)] or [b""]
    last = len(pieces) - 1
    return b"".join(frame(DATA, END_STREAM if end and i == last else 0, stream, piece) for i, piece in enumerate(pieces))


def message(payload, length=None):
    return struct.pack(">BI", 0, len(payload) if length is None else length) + payload
