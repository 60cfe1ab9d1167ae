"""A mail server that really receives, and now and then really refuses.

It answers 550 for ever to addresses that begin with `bounce`, and fails the first attempt of one address in twelve with
a temporary 451 and of another by hanging up, so that retries can be seen. Nothing is refused once it was received.
"""

import threading
import zlib
from collections import Counter, deque
from typing import Any, Self

from aiosmtpd.controller import Controller

from livedemo.children import free_port

ONE_IN = 12


class MailServer:
    """An aiosmtpd handler and the record of what it received; read from other threads."""

    def __init__(self) -> None:
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()
        self._tried: set[str] = set()
        self.last: deque[str] = deque(maxlen=5)
        self.total = 0
        self.temporary = 0
        self.permanent = 0

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def received(self) -> Counter[str]:
        """How many mails each address got."""
        with self._lock:
            return self._received.copy()

    # The names and arguments of both handlers are aiosmtpd's.
    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if address.startswith("bounce"):
            self.permanent += 1
            return "550 5.1.1 no such mailbox"
        first = address not in self._tried
        self._tried.add(address)
        luck = zlib.crc32(address.encode()) % ONE_IN
        if first and luck == 0:
            self.temporary += 1
            return "451 4.7.1 busy, come back later"
        if first and luck == 1:
            self.temporary += 1
            raise ConnectionResetError("hanging up, on purpose")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        with self._lock:
            self._received.update(envelope.rcpt_tos)
            self.last.extend(envelope.rcpt_tos)
            self.total += 1
        return "250 OK"
