"""Somebody else's server: it keeps every byte that it is sent, at addresses that pods of this cluster reach.

`OUTSIDE` stands for any host that is no node's; `METADATA` is where clouds hand out the node's credentials.
"""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

OUTSIDE = "10.254.254.10"
METADATA = "169.254.169.254"
TOKEN = "token-of-the-node"
_MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":"end_turn","usage":{}}'
)


def give_address(address: str) -> None:
    """Have this cluster's network know an address; it goes with the cluster."""
    subprocess.run(["ip", "address", "replace", f"{address}/32", "dev", "lo"], check=True)


class Listener:
    """Listens at an address while entered. `received`: the path of each request, and all of its bytes as text."""

    def __init__(self, address: str, port: int = 0) -> None:
        self.received: list[tuple[str, str]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def _keep(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                listener.received.append(
                    (self.path, f"{self.requestline}\n{self.headers}\n{body.decode('utf-8', 'replace')}")
                )
                answer = _MESSAGE if self.path.endswith("/messages") else TOKEN.encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = _keep  # noqa: N815  (the server's own names)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing is printed."""

        self._server = ThreadingHTTPServer((address, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.port = self._server.server_port
        self.url = f"http://{address}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def ways(self, value: str) -> set[str]:
        """The first part of each path with which a value came."""
        return {path.split("/")[1] for path, text in list(self.received) if value in text}
