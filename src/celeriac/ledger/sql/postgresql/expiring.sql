-- Jobs that nobody may start any more: those past their time, and those that came back from a run that somebody had
-- asked to cancel. Each kind by its own index.
WITH expired AS MATERIALIZED (
    SELECT id, task, '' AS cancel FROM celeriac_job
    WHERE expires_at <= statement_timestamp() AND cancel = '' AND state IN ('waiting', 'scheduled', 'ready')
    ORDER BY expires_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), cancelled AS MATERIALIZED (
    SELECT id, task, cancel FROM celeriac_job
    WHERE cancel > '' AND state IN ('waiting', 'scheduled', 'ready')
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
SELECT id, task, cancel FROM expired UNION ALL SELECT id, task, cancel FROM cancelled LIMIT %(limit)s
