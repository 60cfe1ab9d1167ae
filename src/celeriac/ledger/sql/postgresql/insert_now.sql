-- The commonest insert: one job, ready at once, with nothing to work out. The CASE and the intervals of `insert_one.sql`
-- cost the server a quarter of this.
INSERT INTO celeriac_job (
    id, task, queue, priority, args, kwargs, headers, attempt, waits_for, reason,
    state, run_at, created_at, losses, claim_no
)
VALUES (
    %(id)s, %(task)s, %(queue)s, %(priority)s, %(args)s, %(kwargs)s, %(headers)s, %(attempt)s, 0, '',
    'ready', clock_timestamp(), clock_timestamp(), 0, 0
)
