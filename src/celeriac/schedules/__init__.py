"""The room where jobs are asked for on time.

A schedule is a row; so is each tick, an instant at which it was due, unique by schedule and instant. Whoever looks
fires what is due: the tick, its job and the schedule's next instant are one transaction. So there may be one scheduler
or ten, in the workers (the one that leads fires) or as `celery beat`: each tick is one job.

`sources` and `tables` read what a project says (in code, in django-celery-beat's tables), `convert` brings it into the
form of a `definition`, `sync` writes that into rows. `ticks` (on `zones`) says when a schedule is due and `policies`
what becomes of that: both are pure. `plan` joins them for one row; `fire` makes jobs of it (`calls`, `overlaps`,
`rows`); `watch` follows the jobs. `rounds` does these again and again, for `step` in a worker and for `beat`, which
`program` starts. `operate` is what people do by hand (`backfill`, `by_hand`); `queries`, `preview` and `words` are what
they are shown. `recurring` is what a project writes.
"""
