-- The dead by what they seem to be dead of. From group to group through the index (a million rows are some ten groups),
-- then of those with the latest deaths as many as are shown; each is counted in the index, up to a cap.
WITH RECURSIVE every AS (
    (SELECT fingerprint, 1 AS n FROM celeriac_job WHERE state = 'dead' ORDER BY fingerprint LIMIT 1)
    UNION ALL
    SELECT (
        SELECT j.fingerprint FROM celeriac_job j
        WHERE j.state = 'dead' AND j.fingerprint > every.fingerprint
        ORDER BY j.fingerprint LIMIT 1
    ), every.n + 1
    FROM every WHERE every.fingerprint IS NOT NULL AND every.n < %(most)s
), latest AS MATERIALIZED (
    SELECT every.fingerprint, last.id, last.finished_at
    FROM every CROSS JOIN LATERAL (
        SELECT j.id, j.finished_at FROM celeriac_job j
        WHERE j.state = 'dead' AND j.fingerprint = every.fingerprint
        ORDER BY j.finished_at DESC, j.id DESC LIMIT 1
    ) last
    ORDER BY last.finished_at DESC
    LIMIT %(limit)s
)
SELECT
    l.fingerprint,
    (
        SELECT count(*) FROM (
            SELECT FROM celeriac_job j WHERE j.state = 'dead' AND j.fingerprint = l.fingerprint
            ORDER BY j.finished_at DESC LIMIT %(cap)s  -- by the index, or it may go through the table
        ) capped
    ),
    (
        SELECT j.finished_at FROM celeriac_job j
        WHERE j.state = 'dead' AND j.fingerprint = l.fingerprint
        ORDER BY j.finished_at, j.id LIMIT 1
    ),
    l.finished_at,
    l.id,
    (SELECT count(*) FROM every)
FROM latest l
ORDER BY l.finished_at DESC
