-- Say that somebody waits for results: whoever ends jobs rings for the next %(seconds)s seconds, by this database's clock.
-- Of many that say so, one writes. Nobody waits for the disk: what a crash forgets is said again.
INSERT INTO celeriac_lease AS said (name, holder, number)
VALUES (
    'results', '00000000-0000-0000-0000-000000000000',
    extract(epoch FROM statement_timestamp())::bigint + %(seconds)s
)
ON CONFLICT (name) DO UPDATE SET number = EXCLUDED.number
WHERE said.number < EXCLUDED.number - %(spare)s
RETURNING set_config('synchronous_commit', 'off', true)
