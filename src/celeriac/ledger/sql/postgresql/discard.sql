-- Put dead jobs away as cancelled, with all that is known of their death, and write for each what was done to it.
WITH held AS MATERIALIZED (
    SELECT id, state, finished_at FROM celeriac_job WHERE id = ANY(%(id)s::uuid[]) ORDER BY id FOR UPDATE
), moved AS (
    UPDATE celeriac_job j SET state = 'cancelled', reason = 'discarded'
    FROM held h
    WHERE j.id = h.id AND h.state = 'dead' AND h.finished_at <= %(until)s::timestamptz
    RETURNING j.id, j.queue
), told AS (
    INSERT INTO celeriac_change (action_id, job_id, before, diff)
    SELECT %(action)s::uuid, id, 'dead', '' FROM moved
    ON CONFLICT (action_id, job_id) DO NOTHING
)
SELECT h.id, h.state, COALESCE(m.queue, ''), CASE WHEN m.id IS NULL THEN 'state' ELSE '' END
FROM held h LEFT JOIN moved m ON m.id = h.id
