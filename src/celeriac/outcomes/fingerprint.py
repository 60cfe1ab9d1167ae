"""Which deaths look alike: by the exception's class, the project's innermost frame, and the shape of the message."""

import re
from hashlib import blake2b

__all__ = ["dotted", "fingerprint", "frame", "shape"]

#: What differs from one death to the next of the same cause, most special first.
_VARIES = tuple(
    (re.compile(pattern, re.IGNORECASE), word)
    for pattern, word in (
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "<uuid>"),
        (r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b", "<email>"),
        (r"\b0x[0-9a-f]+\b", "<hex>"),
        (r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b", "<hex>"),
        (r"\d+(?:[.,:]\d+)*", "<n>"),
        (r"\s+", " "),
    )
)

_FRAME = re.compile(r'^ *File "(?P<path>[^"\n]+)", line \d+, in (?P<name>.+)$', re.MULTILINE)

#: Where code that is not the project's lies.
_FOREIGN = re.compile(r"[\\/](?:site-packages|dist-packages|lib[\\/]python3\.\d+)[\\/]|^<")

#: This package, wherever it was installed.
_OURS = __file__.rpartition("outcomes")[0]

#: As much of a message as tells one cause from another.
MOST = 200


def dotted(kind: type) -> str:
    """Return the dotted name of a class, as `Job.exception` and `Attempt.exception` keep it."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def shape(message: str) -> str:
    """Return the first line of *message* with ids, numbers and addresses replaced by what they are."""
    line = message.strip().partition("\n")[0][: 4 * MOST]
    for pattern, word in _VARIES:
        line = pattern.sub(word, line)
    return line[:MOST].strip()


def frame(traceback: str) -> str:
    """Return "file:function" of the innermost frame of the project's own code in *traceback*, or "".

    Without the line number and the folders above: a death has the same cause before and after a deploy.
    """
    for found in reversed(list(_FRAME.finditer(traceback))):
        path = found["path"]
        if not _FOREIGN.search(path) and not path.startswith(_OURS):
            return f"{'/'.join(path.replace(chr(92), '/').split('/')[-3:])}:{found['name']}"
    return ""


def fingerprint(exception: str, message: str, traceback: str, task: str) -> str:
    """Return 32 hex digits, equal for deaths that look alike.

    By the exception's dotted name, the shape of its message and the innermost frame of the project's own code; where
    the traceback has none, by the task instead.
    """
    facts = (exception, frame(traceback) or task, shape(message))
    return blake2b("\0".join(facts).encode("utf-8", "replace"), digest_size=16).hexdigest()
