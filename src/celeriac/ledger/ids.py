"""Job ids. A job's id is its Celery task id; ids that are not UUIDs get a stable one of their own."""

import os
import time
from collections.abc import Iterator
from hashlib import blake2b
from uuid import UUID, uuid5

__all__ = ["job_id", "key_digest", "new_id", "new_uuid", "new_uuids"]

#: The namespace of task ids that callers made up (`task_id="invoice-7"`).
NAMESPACE = UUID("4f9d3a52-6c1e-5b0a-9a77-0ce1e71ac000")


def job_id(task_id: object) -> UUID:
    """Return the id of the row that keeps *task_id*: itself where it is a UUID, else the same UUID every time."""
    if isinstance(task_id, UUID):
        return task_id
    text = str(task_id)
    try:
        found = UUID(text)
    except ValueError:
        return uuid5(NAMESPACE, text)
    # UUID() also reads braces, capitals and missing dashes; only the canonical text is the same id.
    return found if str(found) == text else uuid5(NAMESPACE, text)


def new_id() -> str:
    """Return the text of a new UUID."""
    return str(new_uuid())


def new_uuid() -> UUID:
    """Return a version 7 UUID (RFC 9562): ids made together lie together in the index.

    The 12 bits after the millisecond hold its fraction (section 6.2, method 3), so that jobs asked for one after the
    other sort in that order where their run_at is the same.
    """
    return _uuid7(time.time_ns() * 4096 // 1_000_000, os.urandom(8))


def new_uuids() -> Iterator[UUID]:
    """Yield new UUIDs, each of which sorts after the one before; a look at the clock and one at random for many."""
    last = 0
    while True:
        random = os.urandom(8 * 256)
        first = max(time.time_ns() * 4096 // 1_000_000, last + 1)
        last = first + 255
        for number in range(256):
            yield _uuid7(first + number, random[8 * number : 8 * number + 8])


def _uuid7(ticks: int, random: bytes) -> UUID:
    """Return the id of a moment in 4096ths of a millisecond, with 62 of the bits in *random*."""
    tail = int.from_bytes(random, "big") >> 2
    return UUID(int=(ticks >> 12 & 0xFFFF_FFFF_FFFF) << 80 | (0x7000 | ticks & 0xFFF) << 64 | 0x2 << 62 | tail)


def key_digest(task: str, key: str) -> str:
    """Return what `Job.held` is while a job of *task* holds *key*: unique as far as anyone can tell, and of one length.

    BLAKE2b (RFC 7693) of 16 bytes, as hex digits.
    """
    return blake2b(f"{task}\0{key}".encode(), digest_size=16).hexdigest()
