"""Chains, groups and chords run to their end through the ledger."""

from __future__ import annotations

import pytest
from celery import chain, chord, chunks, group
from celery.exceptions import ChordError
from celery.result import AsyncResult, GroupResult

from celeriac.ledger.models import Job
from tests.integration.looking import ended, lines, state
from tests.shop.celery import app
from tests.shop.tasks import add, errback, fail, flaky, noop, note, old_errback, replace, together, total
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

RUNS = {
    "a chain": (lambda: chain(add.s(1, 2), add.s(3), add.s(4)), 10),
    "a chain of immutables": (lambda: chain(add.si(1, 2), add.si(3, 4)), 7),
    "a group": (lambda: group(add.s(n, n) for n in range(5)), [0, 2, 4, 6, 8]),
    "a group of one": (lambda: group(add.s(1, 1)), [2]),
    "a nested group": (lambda: group(group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)), [2, 4, 6]),
    "a chord": (lambda: chord([add.s(n, n) for n in range(5)], total.s()), 20),
    "a chord of one": (lambda: chord([add.s(1, 1)], total.s()), 2),
    "a chord of many": (lambda: chord([noop.s(n) for n in range(100)], total.s()), 4950),
    "a chord of chains": (lambda: chord([chain(add.s(n, 1), add.s(10)) for n in range(3)], total.s()), 36),
    "a chord in a chord's header": (lambda: chord([chord([noop.s(1), noop.s(2)], total.s()), noop.s(3)], total.s()), 6),
    "a chord whose body is a chain": (lambda: chord([noop.s(1), noop.s(2)], chain(total.s(), add.s(10))), 13),
    "a chord whose body is a group": (
        lambda: chord([noop.s(1), noop.s(2)], group(total.s(), together.s())),
        [3, [[[1, 2]], {}]],
    ),
    "a chord whose body is a chord": (
        lambda: chord([noop.s(1), noop.s(2)], chord([total.s(), total.s()], total.s())),
        6,
    ),
    "a chain that ends in a chord": (lambda: chain(add.s(1, 1), group(add.s(1), add.s(2)), total.s()), 7),
    "a chain with a group in the middle": (
        lambda: chain(add.s(1, 1), group(add.s(1), add.s(2)), total.s(), add.s(100)),
        107,
    ),
    "a chain that ends in a group": (lambda: chain(add.s(1, 1), group(add.s(1), add.s(2))), [3, 4]),
    "two groups in a row": (lambda: chain(group(noop.s(1), noop.s(2)), group(total.s(), total.s()), total.s()), 6),
    "a chain of chains": (lambda: chain(chain(add.s(1, 1), add.s(1)), chain(add.s(1), add.s(1))), 5),
    "map": (lambda: noop.map([1, 2, 3]), [1, 2, 3]),
    "starmap": (lambda: add.starmap([(1, 1), (2, 2)]), [2, 4]),
    "chunks": (lambda: chunks(add.s(), ((n, n) for n in range(5)), 2).group(), [[0, 2], [4, 6], [8]]),
    "a retry in a header": (lambda: chord([flaky.s(1), noop.s(5)], total.s()), 6),
    "replaced by a signature": (lambda: replace.s("signature"), 5),
    "replaced by a chain": (lambda: replace.s("chain"), 112),
    "replaced by a chord": (lambda: replace.s("chord"), 6),
    "replaced by a group": (lambda: replace.s("group"), [2, 4]),
    "a replacement in a chain": (lambda: chain(replace.s("chain"), add.s(1000)), 1112),
    "a replacement in a header": (lambda: chord([replace.s("chain"), replace.s("chord")], total.s()), 118),
}


@pytest.mark.parametrize("name", RUNS)
def test_it_runs_to_its_end(name):
    make, expected = RUNS[name]
    assert make().apply_async().get(timeout=15) == expected
    wait_until(lambda: not Job.objects.filter(finished_at__isnull=True).exists())
    assert not Job.objects.exclude(state="succeeded").exists()


def test_a_link_is_called_with_the_result(tmp_path):
    path = tmp_path / "notes"
    add.apply_async((1, 2), link=[note.si(str(path), "plain"), add.s(10)]).get(timeout=10)
    wait_until(lambda: Job.objects.filter(state="succeeded").count() == 3)
    assert lines(path) == ["plain"]
    assert Job.objects.filter(task=add.name, result="13").count() == 1


def test_a_link_on_a_chain_is_called_with_the_last_result():
    chain(add.s(1, 2), add.s(3)).apply_async(link=add.s(100)).get(timeout=10)
    wait_until(lambda: Job.objects.filter(task=add.name, result="106").count() == 1)


def test_both_kinds_of_errbacks_are_called(tmp_path):
    path = tmp_path / "notes"
    result = fail.apply_async(("broken",), link_error=[errback.s(str(path)), old_errback.si("x", str(path))])
    assert state(result) == ("dead", "failed")
    wait_until(lambda: len(lines(path)) == 2)
    assert sorted(lines(path)) == [f"new {result.id} ValueError broken True", "old x"]


def test_an_errback_of_the_old_kind_gets_the_id(tmp_path):
    path = tmp_path / "notes"
    result = fail.apply_async(("broken",), link_error=old_errback.s(str(path)))
    wait_until(lambda: lines(path) == [f"old {result.id}"])


def test_a_success_calls_no_errback(tmp_path):
    path = tmp_path / "notes"
    assert add.apply_async((1, 1), link_error=errback.s(str(path))).get(timeout=10) == 2
    ended(noop.delay())
    assert lines(path) == []


def test_a_step_that_dies_fails_the_steps_after_it(tmp_path):
    path = tmp_path / "notes"
    last = chain(add.s(1, 1), fail.si("broken"), note.si(str(path), "never"), noop.si()).apply_async(
        link_error=errback.s(str(path))
    )
    with pytest.raises(ValueError, match="broken"):
        last.get(timeout=10)
    rows = ended(last, last.parent, last.parent.parent, last.parent.parent.parent)
    assert [row.state for row in rows] == ["dead", "dead", "dead", "succeeded"]
    assert {result.state for result in (last, last.parent, last.parent.parent)} == {"FAILURE"}
    assert [row.reason for row in rows[:3]] == ["upstream", "upstream", "failed"]
    wait_until(lambda: len(lines(path)) == 1)
    assert lines(path)[0].endswith("ValueError broken True")
    assert "never" not in lines(path)


def test_a_failing_header_fails_the_body_and_calls_its_errback(tmp_path):
    path = tmp_path / "notes"
    body = total.s().on_error(errback.s(str(path)))
    result = chord([noop.s(1), fail.s("broken"), noop.s(3)], body)()
    with pytest.raises(ChordError, match="broken"):
        AsyncResult(result.id, app=app).get(timeout=10)
    with pytest.raises(ValueError, match=r"^broken$"):  # as stock Celery's: who holds the parents is told the cause
        result.get(timeout=10)
    assert result.state == "FAILURE"
    wait_until(lambda: lines(path))
    assert f"new {result.id} ChordError" in lines(path)[0]


def test_a_group_result_is_joined_saved_and_restored():
    result = group(add.s(n, n) for n in range(3)).apply_async()
    result.save()
    restored = GroupResult.restore(result.id, app=app)
    assert restored.join(timeout=10) == [0, 2, 4]
    assert restored.get(timeout=10) == [0, 2, 4]
    assert (restored.completed_count(), restored.successful(), restored.failed(), restored.ready()) == (
        3,
        True,
        False,
        True,
    )
    assert [r.id for r in restored] == [r.id for r in result]
    restored.delete()
    assert GroupResult.restore(result.id, app=app) is None


def test_a_group_with_a_failure_raises_it():
    result = group(add.s(1, 1), fail.s("broken")).apply_async()
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=10)
    assert result.failed()
    assert [str(r) for r in result.join(propagate=False)] == ["2", "broken"]


def test_a_chain_is_walked_by_its_parents_and_children():
    last = chain(add.s(1, 1), add.s(2), add.s(3))()
    assert last.get(timeout=10) == 7
    first = last.parent.parent
    assert first.parent is None
    assert [value for _, value in AsyncResult(first.id, app=app).collect(timeout=10)] == [2, 4, 7]
