-- Many plain jobs that differ in id and arguments only, as when a list is worked off: each of those comes as one text,
-- joined by line feeds, which JSON text has none of. An array of each column, as in `insert.sql`, costs five times this,
-- most of it in the driver.
INSERT INTO celeriac_job (
    id, task, queue, priority, args, kwargs, headers, attempt, waits_for, reason,
    state, run_at, expires_at, created_at, losses, claim_no
)
SELECT
    v.id, %(task)s::text, %(queue)s::text, %(priority)s::smallint, v.args, v.kwargs, %(headers)s::text, %(attempt)s::int,
    %(waits_for)s::int, %(reason)s::text,
    CASE
        WHEN %(waits_for)s::int > 0 OR %(reason)s::text <> '' THEN 'waiting'
        WHEN COALESCE(%(run_at)s::timestamptz > clock_timestamp(), %(delay)s::float8 > 0) THEN 'scheduled'
        ELSE 'ready'
    END,
    COALESCE(%(run_at)s::timestamptz, clock_timestamp() + %(delay)s::float8 * interval '1 second'),
    COALESCE(%(expires_at)s::timestamptz, clock_timestamp() + %(expires_in)s::float8 * interval '1 second'),
    clock_timestamp(), 0, 0
FROM unnest(
    string_to_array(%(ids)s::text, chr(10))::uuid[], string_to_array(%(argses)s::text, chr(10)),
    string_to_array(%(kwargses)s::text, chr(10))
) AS v (id, args, kwargs)
