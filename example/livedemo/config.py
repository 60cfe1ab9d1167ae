"""What the environment asks of the demo."""

import os
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    seconds: float  # how long customers keep signing up; 0 = until Ctrl-C
    database: str  # sqlite or postgres
    rate: float  # sign-ups per second


def from_environment() -> Config:
    """Read DEMO_SECONDS, DEMO_RATE and DB; an empty value counts as absent."""
    database = os.environ.get("DB") or "sqlite"
    if database not in ("sqlite", "postgres"):
        raise SystemExit(f"DB={database}: the demo knows sqlite and postgres.")
    rate = _number("DEMO_RATE", 20)
    if rate == 0:
        raise SystemExit("DEMO_RATE=0: somebody has to sign up.")
    return Config(seconds=_number("DEMO_SECONDS", 0), database=database, rate=rate)


def _number(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise SystemExit(f"{name}={text}: a number of 0 or more is wanted.")
    return value
