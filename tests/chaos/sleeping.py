"""Mend what libfaketime breaks.

Python's `time.sleep` waits until an absolute monotonic time. libfaketime 0.9.10 shifts that too, even when told to
leave the monotonic clock alone, and the system call answers EINVAL. Every other way to wait passes it unharmed.
"""

from __future__ import annotations

import os
import sys
import threading
import time


def mend() -> None:
    """Have every module of a process with a stepped clock sleep in another way; elsewhere do nothing."""
    if "libfaketime" not in os.environ.get("LD_PRELOAD", ""):
        return
    broken = time.sleep
    for module in list(sys.modules.values()):
        if getattr(module, "sleep", None) is broken:
            module.sleep = lambda seconds: threading.Event().wait(seconds) and None
