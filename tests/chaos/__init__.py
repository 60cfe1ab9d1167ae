"""Nothing lost, nothing twice: the invariants of the design, asserted while things are killed.

`make chaos` runs each scenario in a process of its own, on servers of its own: a PostgreSQL that keeps its promises on
disk, a Valkey as the broker, and real workers in process groups of their own. What a scenario does to them is a fault;
what it counts afterwards is a row of the table, and of `build/chaos.json`.

Two witnesses are compared. The ledger says how each job ended. The bodies say it too, past the ledger: each appends one
line to a file when it starts and one when it ends, so that a body that ran twice is seen whatever the ledger believes.
A third, the coroner, notes when each process of a worker was last seen alive: a body may be run again if its process
died within it, or within one flush of its end, and not otherwise.

    scenarios/   what is done, a module for each kind of fault
    stage.py     the servers, workers and jobs of one scenario      servers.py   servers that can be hurt
    crew.py      the workers, and the ways to hurt them             coroner.py   which of their processes live
    peers.py     how each peer is asked, and says how jobs ended    tasks.py     the bodies
    witness.py   what the bodies say (pure)                         verdict.py   what it amounts to: a row
    table.py     rows for a reader (pure)
    one.py       one scenario, in this process                      __main__.py  all of them, each in its own

`make chaos PEER=celery` does the same to stock Celery, set up as its documentation recommends for work that matters:
the comparison is only worth something if the other side had its best chance.
"""
