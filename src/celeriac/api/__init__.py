"""ASK. How a call becomes a job.

`delay()` → `Task.apply_async` (Celery's own, with whatever Sentry or OpenTelemetry wrapped around it) →
`Celery.send_task` (ours) → `options.ask` turns the calling options into a row → `enqueue` inserts it in the caller's
transaction and rings the bell after the commit. The id comes back at once.

A retry goes the same way and is caught in `send_task`: asked for by the run of the same job, it becomes a state change
of that row. `payload` keeps arguments exactly or refuses them at the call, naming the argument.
`atomic` is the savepoint around a body that shares a transaction with its job's end.
"""
