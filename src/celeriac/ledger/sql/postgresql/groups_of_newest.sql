-- The newest dead of a selection by what they seem to be dead of. Here and not by the caller, who would read them all.
SELECT
    fingerprint, count(*), min(finished_at), max(finished_at),
    (array_agg(id ORDER BY finished_at DESC, id DESC))[1]
FROM ({newest}) AS newest (fingerprint, finished_at, id)
GROUP BY fingerprint
ORDER BY max(finished_at) DESC
