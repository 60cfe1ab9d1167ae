"""The only ways a job's row changes.

    insert      nothing → ready, scheduled or waiting      (api, schedules, workflows)
    insert_keyed  the same, if no other holds the key; or new content for a job that rests (api)
    stage       scheduled → ready, when due                (upkeep)
    admit       waiting → ready, first in a free lane      (upkeep)
    unpark      waiting → ready, once the task is known    (upkeep)
    expire      resting → cancelled or dead, not started   (upkeep), past expires_at or marked by cancel
    claim       ready → running, under a new claim_no      (worker)
    release     running → ready, not started, no attempt   (worker)
    reschedule  running → scheduled, for another attempt   (worker)
    finish      running → succeeded, dead, cancelled       (worker)
    rescue      running → ready, scheduled or an end       (upkeep), when the whole worker is lost
    settle      resting or nothing → an end                (results, adoption)
    cancel      resting → cancelled; marks what runs       (api, operators)
    replay      dead or cancelled → open, as if asked now  (operators)
    discard     dead → cancelled, seen and put away        (operators)

`renew` and `leave` move no job: they are a worker's heartbeat, by which `rescue` tells the lost from the living. Nor
does `announce`, which sees to it that somebody is told of the dead.
`prune` deletes what has ended long ago (upkeep).

Every verb is set-based, runs on any of the supported databases, and says what it did as an event of its own name.
Those that write for a claim carry the fence `state = 'running' AND claim_no = …`: no row changed means "not mine any
more", which is counted, never an error. What waits for a job is counted down by the statement that ends it.
"""

from celeriac.ledger.verbs.admit import admit
from celeriac.ledger.verbs.announce import announce
from celeriac.ledger.verbs.cancel import Cancelled, cancel
from celeriac.ledger.verbs.claim import claim, claim_ahead
from celeriac.ledger.verbs.discard import discard
from celeriac.ledger.verbs.expire import expire
from celeriac.ledger.verbs.finish import Finished, finish
from celeriac.ledger.verbs.insert import insert, insert_waiting
from celeriac.ledger.verbs.insert_keyed import Keyed, insert_keyed
from celeriac.ledger.verbs.prune import Pruned, prune
from celeriac.ledger.verbs.release import release
from celeriac.ledger.verbs.renew import leave, renew
from celeriac.ledger.verbs.replay import replay
from celeriac.ledger.verbs.reschedule import reschedule
from celeriac.ledger.verbs.rescue import Judged, Rescued, rescue
from celeriac.ledger.verbs.settle import Settled, settle
from celeriac.ledger.verbs.stage import Staged, stage
from celeriac.ledger.verbs.unpark import UNREGISTERED, unpark

__all__ = [
    "UNREGISTERED",
    "Cancelled",
    "Finished",
    "Judged",
    "Keyed",
    "Pruned",
    "Rescued",
    "Settled",
    "Staged",
    "admit",
    "announce",
    "cancel",
    "claim",
    "claim_ahead",
    "discard",
    "expire",
    "finish",
    "insert",
    "insert_keyed",
    "insert_waiting",
    "leave",
    "prune",
    "release",
    "renew",
    "replay",
    "reschedule",
    "rescue",
    "settle",
    "stage",
    "unpark",
]
