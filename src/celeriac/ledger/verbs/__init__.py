"""The only ways a job's row changes.

    insert      nothing → ready, scheduled or waiting      (api, schedules, workflows)
    stage       scheduled → ready, when due                (upkeep)
    unpark      waiting → ready, once the task is known    (upkeep)
    expire      resting → cancelled, past expires_at       (upkeep)
    claim       ready → running, under a new claim_no      (worker)
    release     running → ready, not started, no attempt   (worker)
    reschedule  running → scheduled, for another attempt   (worker)
    finish      running → succeeded, dead, cancelled       (worker)
    settle      resting or nothing → an end                (results, adoption, operators)

Every verb is set-based, runs on any of the supported databases, and says what it did as an event of its own name.
Those that write for a claim carry the fence `state = 'running' AND claim_no = …`: no row changed means "not mine any
more", which is counted, never an error. What waits for a job is counted down by the statement that ends it.
"""

from celeriac.ledger.verbs.claim import claim
from celeriac.ledger.verbs.expire import expire
from celeriac.ledger.verbs.finish import Finished, finish
from celeriac.ledger.verbs.insert import insert, insert_waiting
from celeriac.ledger.verbs.release import release
from celeriac.ledger.verbs.reschedule import reschedule
from celeriac.ledger.verbs.settle import Settled, settle
from celeriac.ledger.verbs.stage import Staged, stage
from celeriac.ledger.verbs.unpark import UNREGISTERED, unpark

__all__ = [
    "UNREGISTERED",
    "Finished",
    "Settled",
    "Staged",
    "claim",
    "expire",
    "finish",
    "insert",
    "insert_waiting",
    "release",
    "reschedule",
    "settle",
    "stage",
    "unpark",
]
