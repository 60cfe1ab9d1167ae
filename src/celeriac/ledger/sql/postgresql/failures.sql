-- Keep the story of attempts that did not succeed, before the same transaction moves their jobs on; the fence is the
-- verb's own, and the row lock keeps it true until that verb ran.
INSERT INTO celeriac_attempt (
    job_id, number, claim_no, kind, exception, message, traceback, worker, started_at, finished_at
)
SELECT
    j.id, j.attempt + 1, j.claim_no, v.kind, v.exception, v.message, v.traceback, j.worker,
    statement_timestamp() - (v.ran + v.ago) * interval '1 second', statement_timestamp() - v.ago * interval '1 second'
FROM unnest(
    %(id)s::uuid[], %(claim_no)s::int[], %(kind)s::text[], %(exception)s::text[], %(message)s::text[],
    %(traceback)s::text[], %(ran)s::float8[], %(ago)s::float8[]
) AS v (id, claim_no, kind, exception, message, traceback, ran, ago)
JOIN celeriac_job j ON j.id = v.id AND j.claim_no = v.claim_no AND j.state = 'running'
FOR UPDATE OF j
ON CONFLICT (job_id, claim_no) DO NOTHING
