"""What the worker knows of a pool process that died, for whoever asks why."""

from pathlib import Path

__all__ = ["resident", "told"]


def resident(pid: int) -> int | None:
    """Return the resident memory of a process in KiB, or None where nobody can say."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


def told(pid: int | None, kib: int | None, ago: float, log: str) -> str:
    """Return what is known of a process that died, for a person to read."""
    lines = [] if pid is None else [f"Process {pid}."]
    if kib is not None:
        lines.append(f"Resident memory: {kib / 1024:.0f} MiB, {ago:.1f} s before its end was noticed.")
    if log:
        lines.append(f"The last it logged:\n{log}")
    return "\n".join(lines)
