-- Give claimed jobs back untouched: no attempt is charged, and run_at keeps their place in the line.
WITH released AS (
    UPDATE celeriac_job j
    SET state = 'ready', worker = NULL, started_at = NULL, progress = NULL
    FROM unnest(%(id)s::uuid[], %(claim_no)s::int[]) AS v (id, claim_no)
    -- The CASE hides 'running' from the planner, which would read the index of all that run, of every worker.
    WHERE j.id = v.id AND j.claim_no = v.claim_no AND j.state = CASE WHEN v.id IS NOT NULL THEN 'running' END
    RETURNING j.queue
)
SELECT queue, count(*) FROM released GROUP BY queue
