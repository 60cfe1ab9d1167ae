"""System checks: what `manage.py check` says of a project before a worker says it at 3 a.m.

celeriac.E001   a setting in CELERIAC is unknown or of the wrong kind
celeriac.E002   CELERIAC["DATABASE"] is not in DATABASES
celeriac.W001   the ledger is on SQLite with options under which writers get in each other's way
"""

from celeriac.checks.settings import check_settings

__all__ = ["check_settings"]
