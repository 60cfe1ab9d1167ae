"""RECORD. The ledger: one row a job, and the verbs that alone may change it.

A job is *inserted* by whoever asks, *claimed* by a worker, and *finished* by the claim that ran it. Between those, time
moves it (*stage*, *expire*), a failed attempt sends it back (*reschedule*), and a claim that cannot start it gives it
back (*release*). What no claim holds is ended by *settle*.

All exactness lives in one fence: `claim` bumps `claim_no`, and every write of a run says `state = 'running' AND
claim_no = …`. Around it everything may be at-least-once and simple. "Job waits for jobs" is a row in `Edge`, counted
down by the statement that ends a parent.

PostgreSQL gets one statement a verb (`sql/postgresql/*.sql`); SQLite, MySQL and MariaDB get the same contract from the
ORM (`portable`). Time is the database's. The bell tells waiting workers and callers that there is something to see.
"""
