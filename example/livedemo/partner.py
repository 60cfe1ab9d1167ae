"""A partner's server that takes events, and can be away: then nothing listens at its port."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from livedemo.children import free_port


class Partner:
    """`taken` counts the events it accepted; read from other threads."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/events"
        self.taken: Counter[str] = Counter()
        self._server: ThreadingHTTPServer | None = None

    def open(self) -> None:
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken[json.loads(body)["event"]] += 1
                self.send_response(202)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The transcript is enough."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
