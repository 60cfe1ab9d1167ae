-- The tasks of the dead: from name to name through the index, one look each, however many jobs a name has.
WITH RECURSIVE names AS (
    (SELECT task FROM celeriac_job WHERE state = 'dead' ORDER BY task LIMIT 1)
    UNION ALL
    SELECT (
        SELECT j.task FROM celeriac_job j WHERE j.state = 'dead' AND j.task > names.task ORDER BY j.task LIMIT 1
    )
    FROM names WHERE names.task IS NOT NULL
)
SELECT task FROM names WHERE task IS NOT NULL
