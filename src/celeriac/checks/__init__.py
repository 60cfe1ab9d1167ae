"""System checks: what `manage.py check` says of a project before a worker says it at 3 a.m.

celeriac.E001   a setting in CELERIAC is unknown or of the wrong kind
celeriac.E002   CELERIAC["DATABASE"] is not in DATABASES
celeriac.E003   a task is atomic and cannot be: its data is on another alias than the ledger, or it is durable=False
celeriac.E004   what a task says of retries or keys makes no sense, or names an argument that it does not have
celeriac.E005   a schedule in code is malformed or can never fire
celeriac.W001   the ledger is on SQLite with options under which writers get in each other's way
celeriac.W002   a schedule in code is of a task that is not registered, or a task's is left out for one of its name
"""

from celeriac.checks.schedules import check_schedules
from celeriac.checks.settings import check_settings
from celeriac.checks.tasks import check_tasks

__all__ = ["check_schedules", "check_settings", "check_tasks"]
