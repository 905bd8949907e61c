"""A local HTTP server that answers as told, one act per request, and misbehaves on demand."""

import json
import socket
import struct
from collections import deque
from http.server import BaseHTTPRequestHandler
from typing import Any

from kubernetes.client import Configuration

from canary.kube.transport import MAX_BYTES, Transport, configure_client
from tests.http_server import (
    HttpServer,
    Misbehavior,
    Reply,
    answer_in_turn,
    reply_json,
    wait_until_closed,
    write_chunk,
)


class ScriptedApiServer(HttpServer):
    """Plays `acts` in order; the last one again and again."""

    def __init__(self, *acts: Misbehavior | Reply) -> None:
        super().__init__(answer_in_turn(*acts))

    def transport(
        self, *tokens: str, observer: Any = None, max_bytes: int = MAX_BYTES
    ) -> Transport:
        """A transport to this server; each connection takes the next token, the last one stays."""
        left = deque(tokens)

        def connect() -> Any:
            settings = Configuration(host=self.url)
            if left:
                settings.api_key["BearerToken"] = left[0] if len(left) == 1 else left.popleft()
            return configure_client(settings)

        return Transport(connect, observer, max_bytes)


def send_answer(code: int, body: Any = None, **headers: str) -> Reply:
    """JSON, or text."""
    if isinstance(body, str):
        return Reply(body.encode(), code, {k.replace("_", "-"): v for k, v in headers.items()})
    return reply_json(body or {}, code, **headers)


def send_status(code: int, reason: str, message: str, **details: Any) -> Reply:
    """A failure as the API server words it."""
    failure = {"kind": "Status", "status": "Failure", "code": code, "reason": reason}
    return send_answer(code, failure | {"message": message, "details": details})


HANG = Reply(hold=True)
"""No answer until the test is over."""


def send_half(request: BaseHTTPRequestHandler) -> None:
    """Half of what is announced, then the end."""
    request.send_response(200)
    request.send_header("Content-Length", "100")
    request.end_headers()
    request.wfile.write(b'{"kind": ')
    request.close_connection = True


def reset_connection(request: BaseHTTPRequestHandler) -> None:
    """The connection is reset."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()
    request.close_connection = True
    request.wfile = open("/dev/null", "wb")  # noqa: PTH123, SIM115  # the handler flushes it


def send_events(*chunks: bytes, then: str = "end") -> Misbehavior:
    """A chunked answer; afterwards it ends as it should, hangs, or breaks off in a chunk."""

    def act(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for chunk in chunks:
            write_chunk(request, chunk)
        match then:
            case "end":
                write_chunk(request, b"")
            case "hang":
                wait_until_closed(request)
            case "break":
                request.wfile.write(b'50\r\n{"type": "ADD')
        request.close_connection = then != "end"

    return act


def encode_event(type_: str, version: int, **more: Any) -> bytes:
    """One line of a watch."""
    item = {"metadata": {"name": "a", "uid": "u", "resourceVersion": str(version)}, **more}
    return json.dumps({"type": type_, "object": item}).encode() + b"\n"
