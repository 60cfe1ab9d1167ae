"""RUN. What a worker does with ready jobs.

A bootstep (`step`) starts its threads beside Celery's consumer, which serves remote control and plain tasks and may
wait for its broker as long as it likes:

    claimer    waits for the bell or a free slot, claims what the slots can run in about 100 ms, hands it to the pool
    presence   renews the worker's row; the answer says who leads
    deadlines  watches the time limits of what runs
    upkeep     unparks what this worker knows; in the leader also stages what is due and cancels what expired
    rescue     in the leader: gives the jobs of lost workers to others
    bell       (of the process) sends NOTIFY after commits

In each pool process `executor.run_claim` runs a claim's jobs one by one through Celery's tracer, and a `flusher` thread
writes their ends in batches; an atomic job's end is written with its effects (`atomic`). A claim comes back only when
all its ends are in the ledger, so the parent always knows what a process owes. The `board` outlives a process that dies
and says which job to blame; the claimer charges that one and gives the others back.
"""
