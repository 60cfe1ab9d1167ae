"""A lane's turn, when several reach for it."""

from __future__ import annotations

import threading

from celeriac.ledger.models import Job
from tests.ledger_helpers import a_job, ending, ids
from tests.races.conftest import PATIENCE


def lined(ledger, **fields):
    return ledger.given(lane="a", reason="exclusive", **fields)


def turns(ledger):
    return ledger.jobs.filter(turn="a").count()


def test_of_two_leaders_that_admit_at_once_one_admits_and_none_waits(ledger, actor):
    lined(ledger)
    lined(ledger)
    first, second = actor(), actor()
    first.begins()
    assert first.does(ledger.admit) == {"q": 1}
    assert second.does(ledger.admit) == {}
    first.commits()
    assert second.does(ledger.admit) == {}
    assert turns(ledger) == 1


def test_of_two_leaders_that_see_another_first_in_line_one_is_refused(ledger, actor, blocked):
    """Between their looks a more urgent job came, so they choose different rows: the index decides."""
    first_there = lined(ledger)
    first = actor()
    first.begins()
    assert first.does(ledger.admit) == {"q": 1}
    lined(ledger, priority=9)
    second = actor().starts(ledger.admit)
    blocked(1)
    first.commits()
    assert second.result(PATIENCE) == {}
    assert list(ledger.jobs.filter(turn="a").values_list("id", flat=True)) == [first_there.id]


def test_a_turn_that_a_rolled_back_admission_had_is_free(ledger, actor):
    lined(ledger)
    first = actor()
    first.begins()
    first.does(ledger.admit)
    first.rolls_back()
    assert ledger.admit() == {"q": 1}


def test_admitting_while_the_turns_job_ends_waits_for_nobody_and_the_next_look_admits(ledger, actor):
    lined(ledger)
    second = lined(ledger)
    ledger.admit()
    [job] = ledger.claim()
    worker = actor()
    worker.begins()
    assert "\x01scheduled" in worker.does(ledger.finish, ending(job)).freed
    assert ledger.admit() == {}
    worker.commits()
    assert ledger.admit() == {"q": 1}
    assert ledger.row(second).turn == "a"


def test_a_job_somebody_locks_is_admitted_later_and_nobody_passes_it(ledger, actor):
    first, _ = lined(ledger), lined(ledger)
    operator = actor()
    operator.begins()
    operator.does(lambda: Job.objects.select_for_update().get(id=first.id))
    assert ledger.admit() == {}
    operator.commits()
    assert ledger.admit() == {"q": 1}
    assert ledger.row(first).turn == "a"


def test_leaders_and_workers_at_once_never_run_two_of_a_lane_and_keep_the_order(ledger, actor):
    jobs = [a_job(lane=lane, reason="exclusive") for _ in range(15) for lane in "ab"]
    ledger.insert(*jobs)
    start = threading.Barrier(4)
    order: list = []

    def lead():
        start.wait(PATIENCE)
        while ledger.jobs.exclude(state="succeeded").exists():
            ledger.admit()

    def work():
        start.wait(PATIENCE)
        while ledger.jobs.exclude(state="succeeded").exists():
            for job in ledger.claim(1):
                lane = ledger.row(job).lane
                assert ledger.jobs.filter(lane=lane, state__in=["ready", "running"]).count() == 1
                order.append((lane, job.id))
                assert ledger.finish(ending(job)).count == 1

    for future in [actor().starts(act) for act in (lead, lead, work, work)]:
        future.result(PATIENCE)
    for lane in "ab":
        assert [id_ for where, id_ in order if where == lane] == ids([job for job in jobs if job.lane == lane])
