"""Parents of the same children end at the same time."""

from __future__ import annotations

import threading

from celeriac.ledger.models import Job
from celeriac.ledger.rows import Settlement
from tests.ledger_helpers import ending, ids
from tests.races.conftest import PATIENCE


def lock(*jobs):
    return list(Job.objects.select_for_update().filter(id__in=ids(jobs)).order_by("id"))


def chord(ledger, parents=2, children=2):
    headers = ledger.running_many(parents)
    return headers, sorted(ledger.children_of(*ids(headers), count=children), key=lambda job: job.id)


def test_two_parents_that_end_at_once_free_the_child_once(ledger, actor, blocked):
    (one, two), [child] = chord(ledger, children=1)
    first = actor()
    first.begins()
    assert first.does(ledger.finish, ending(one)).freed == []
    second = actor().starts(ledger.finish, ending(two))
    blocked(1)  # in line for the child's row, with a snapshot in which it waits for both
    first.commits()
    assert second.result(PATIENCE).freed == ["q"]
    assert (ledger.state(child), ledger.row(child).waits_for) == ("ready", 0)


def test_two_flushers_with_parents_of_the_same_children_do_not_deadlock(ledger, actor, blocked):
    parents, children = chord(ledger, parents=4, children=3)
    operator = actor()
    operator.begins()
    operator.does(lock, children[1])  # both flushers stop in the middle of the children
    forth = actor().starts(ledger.finish, *map(ending, parents[:2]))
    blocked(1)
    opposite = actor().starts(ledger.finish, *map(ending, parents[:1:-1]))
    blocked(2)
    operator.commits()
    freed = [future.result(PATIENCE).freed for future in (forth, opposite)]
    assert sorted(freed) == [[], ["q"]]
    assert [(ledger.state(child), ledger.row(child).waits_for) for child in children] == [("ready", 0)] * 3


def test_many_flushers_free_many_children_once_each(ledger, actor):
    parents, children = chord(ledger, parents=40, children=20)
    start = threading.Barrier(4)

    def flush(share):
        start.wait(PATIENCE)
        return [ledger.finish(*map(ending, share[n : n + 2])).freed for n in range(0, len(share), 2)]

    shares = [parents[0::4], parents[1::4][::-1], parents[2::4], parents[3::4][::-1]]
    futures = [actor().starts(flush, share) for share in shares]
    freed = [queues for future in futures for queues in future.result(PATIENCE) if queues]
    assert freed == [["q"]]  # the very last parent's finish freed them all
    assert set(ledger.jobs.filter(id__in=ids(children)).values_list("state", "waits_for")) == {("ready", 0)}


def test_settling_children_in_any_order_while_their_parent_ends_does_not_deadlock(ledger, actor, blocked):
    [parent], children = chord(ledger, parents=1, children=3)
    operator = actor()
    operator.begins()
    operator.does(lock, children[1])
    finishing = actor().starts(ledger.finish, ending(parent))
    blocked(1)  # has the first child, stands in line for the second
    backwards = [Settlement(child.id, "cancelled") for child in (children[2], children[0])]
    settling = actor().starts(ledger.settle, *backwards)
    blocked(2)
    operator.commits()
    assert finishing.result(PATIENCE).count == 1
    assert set(settling.result(PATIENCE).ids) == {children[0].id, children[2].id}
    assert [ledger.state(child) for child in children] == ["cancelled", "ready", "cancelled"]


def test_a_parent_that_is_settled_and_one_that_is_finished_at_once_are_both_counted(ledger, actor, blocked):
    resting, running = ledger.given(), ledger.running()
    [child] = ledger.children_of(resting.id, running.id)
    first = actor()
    first.begins()
    first.does(ledger.settle, Settlement(resting.id, "cancelled"))
    second = actor().starts(ledger.finish, ending(running))
    blocked(1)
    first.commits()
    assert second.result(PATIENCE).freed == ["q"]
    assert ledger.state(child) == "ready"
