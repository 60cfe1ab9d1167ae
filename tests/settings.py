"""Settings of the tests, of the workers they start, and of mypy's Django plugin.

One session, several databases: `default` is PostgreSQL, `lite` SQLite, `maria` MariaDB (only where one listens).
The first two have no address here: conftest starts the server and fills it in when the first test asks for a
database. A worker process gets the addresses of the *test* databases in CELERIAC_TEST_DATABASES.
"""

from __future__ import annotations

import json
import os

from tests.servers import mariadb_is_reachable

POSTGRESQL = {"ENGINE": "django.db.backends.postgresql"}
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": ":memory:",
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
    "TEST": {"DEPENDENCIES": []},  # or Django refuses to run tests of this database alone
}
MARIADB = {
    "ENGINE": "django.db.backends.mysql",
    "HOST": "127.0.0.1",
    "PORT": 3306,
    "USER": "root",
    "NAME": "celeriac",
    "OPTIONS": {"charset": "utf8mb4", "isolation_level": "read committed"},
    # The server is shared: two sessions at once must not drop each other's database.
    "TEST": {"NAME": f"test_celeriac_{os.getpid()}", "CHARSET": "utf8mb4", "DEPENDENCIES": []},
}


def _databases() -> dict[str, dict[str, object]]:
    if given := os.environ.get("CELERIAC_TEST_DATABASES"):
        return json.loads(given)
    maria = {"maria": MARIADB} if mariadb_is_reachable() else {}
    return {"default": POSTGRESQL, "lite": SQLITE, **maria}


DATABASES = _databases()
if "maria" in DATABASES:
    import pymysql

    pymysql.install_as_MySQLdb()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "celeriac",
    "tests.shop",
]
#: Other people's migrations are not what is tested, and take most of the time it takes to make the databases.
MIGRATION_MODULES = dict.fromkeys(("admin", "auth", "contenttypes", "sessions", "django_celery_beat"))
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "of the tests"
USE_TZ = True
TIME_ZONE = "UTC"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

# A project's own settings, as far as tests play with them; a worker gets them as JSON.
CELERIAC = {"DATABASE": os.environ.get("CELERIAC_TEST_LEDGER", "default")}
CELERY_TASK_ROUTES = {"tests.shop.tasks.routed": {"queue": "parcels"}}
globals().update(json.loads(os.environ.get("CELERIAC_TEST_SETTINGS", "{}")))
