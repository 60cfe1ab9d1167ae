"""The command line: `manage.py jobs …`, `manage.py schedules …`, and the same as `celery -A app …`.

`commands/` is Django's way in and `plugin.py` Celery's; they come to `jobs/` and `schedules/`, where there is one
module for each thing to say, and `arguments.py` reads what was asked for. What they share is in `terminal/`, as the
paper that is written on. They read the ledger, and change it only through `api.operate` and `schedules.operate`, as the
admin does.

Rules: what comes from filters is shown and not done until `--yes`. A mistake is a sentence on stderr and a status other
than 0. `--json` says the same to a program, with keys that stay. What a job brought along (arguments, messages,
tracebacks) is cleaned before a terminal sees it.
"""
