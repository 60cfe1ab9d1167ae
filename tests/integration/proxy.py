"""A TCP proxy that can refuse and cut, to stand between a worker and its database."""

from __future__ import annotations

import select
import socket
import threading


class Proxy:
    """Forwards to a port of 127.0.0.1 while `up`; `cut()` also breaks what is open."""

    def __init__(self, target: int) -> None:
        self.target = target
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.refused = 0
        self._door: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """Let connections through."""
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", self.port))
        door.listen(64)
        self._door = door
        threading.Thread(target=self._serve, args=(door,), daemon=True).start()

    def cut(self) -> None:
        """Refuse connections and break those that are open."""
        door, self._door = self._door, None
        if door is not None:
            _end(door)
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _end(end)

    def _serve(self, door: socket.socket) -> None:
        while True:
            try:
                inner, _ = door.accept()
                outer = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            with self._lock:
                self._pairs.append((inner, outer))
            threading.Thread(target=self._pump, args=(inner, outer), daemon=True).start()

    def _pump(self, inner: socket.socket, outer: socket.socket) -> None:
        other = {inner: outer, outer: inner}
        try:
            while True:
                for end in select.select(list(other), [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    other[end].sendall(data)
        except (OSError, ValueError):
            return
        finally:
            _end(inner)
            _end(outer)


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
