-- Its commit does not wait for the disk, nor does a caller's for its flush: a NOTIFY outlives no crash anyway. The setting
-- ends with this transaction, so a pooler hands it on to nobody.
SELECT pg_notify(v.channel, v.payload), set_config('synchronous_commit', 'off', true)
FROM unnest(%(channel)s::text[], %(payload)s::text[]) AS v (channel, payload)
