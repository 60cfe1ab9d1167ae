"""The command line: `manage.py jobs …`, and the same as `celery -A app jobs …`.

`commands/jobs.py` is Django's way in and `plugin.py` Celery's; both come to `jobs/`, where there is one module for each
thing to say. `jobs/arguments.py` reads what was asked for, `jobs/choose.py` makes a selection of it. What commands share is
in `terminal/`, as the paper that is written on. It reads the ledger, and changes jobs only through `api.operate`, as
the admin does.

Rules: what comes from filters is shown and not done until `--yes`. A mistake is a sentence on stderr and a status other
than 0. `--json` says the same to a program, with keys that stay. What a job brought along (arguments, messages,
tracebacks) is cleaned before a terminal sees it.
"""
