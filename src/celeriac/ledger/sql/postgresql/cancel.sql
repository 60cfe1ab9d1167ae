-- Hold jobs as they are, and mark those that run. What is asked of a running job is never weakened from a signal to a
-- question. All are locked before any is judged: between two looks a job could go from one state to the other.
WITH held AS MATERIALIZED (
    SELECT id, state FROM celeriac_job WHERE id = ANY(%(id)s::uuid[]) ORDER BY id FOR UPDATE
), asked AS (
    UPDATE celeriac_job j SET cancel = %(cancel)s::text
    FROM held
    WHERE j.id = held.id AND held.state = 'running' AND (j.cancel = '' OR %(cancel)s::text <> 'ask')
)
SELECT id, state FROM held
