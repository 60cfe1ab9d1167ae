"""Real workers and real `celery beat`: each tick one job, whoever fires, whatever becomes of them."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from celeriac.ledger.models import Job, Lease, Worker
from celeriac.schedules.models import Schedule, Tick
from tests.integration.looking import lines, settings_env
from tests.shop.tasks import fleeting, note
from tests.waiting import wait_until
from tests.workers import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

SHOP = "tests.shop.celery"
NOWHERE = "redis://127.0.0.1:1/0"
BEAT = "beat: Starting..."
TAKEN_OVER = "are fired by Celeriac"


def each_second(path, *, celeriac=None, task=note, **settings):
    """Settings of a project with one entry, due each second."""
    entry = {"task": task.name, "schedule": 1, "args": [str(path), "tick"]}
    return settings_env(CELERY_BEAT_SCHEDULE={"s": entry}, CELERIAC=celeriac or {}, **settings)


def periodic_task(path, **fields):
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    args = f'["{path}", "tick"]'
    return PeriodicTask.objects.create(name="t", task=note.name, args=args, interval=every, **fields)


def fired(count, timeout=15.0):
    """Wait for so many ticks; return them all."""
    wait_until(lambda: Tick.objects.filter(job__isnull=False).count() >= count, timeout)
    return list(Tick.objects.order_by("instant"))


def each_tick_is_one_job(ticks):
    """No instant is missing between the first and the last, none is there twice, and each has a job of its own."""
    instants = [tick.instant for tick in ticks]
    assert instants == [instants[0] + timedelta(seconds=n) for n in range(len(instants))]
    assert sum(tick.count for tick in ticks) == len(ticks)
    jobs = [tick.job for tick in ticks]
    assert None not in jobs
    assert Job.objects.filter(id__in=jobs).count() == len(set(jobs)) == len(ticks)
    return True


def leader(workers):
    """The process of the worker that leads, once one does."""

    def found():
        holder = Lease.objects.values_list("holder", flat=True).first()
        row = Worker.objects.filter(id=holder).first()
        return row and next((worker for worker in workers if worker.pid == row.pid), None)

    return wait_until(found)


def test_a_worker_alone_fires_and_runs(celery_worker_process, tmp_path):
    path = tmp_path / "notes"
    celery_worker_process(SHOP, "-c", "1", env=each_second(path))
    wait_until(lambda: len(lines(path)) >= 3)
    ticks = fired(3)
    assert each_tick_is_one_job(ticks)
    assert max(tick.fired_at - tick.instant for tick in ticks) < timedelta(seconds=1)
    wait_until(lambda: Tick.objects.filter(outcome="succeeded").count() >= 3)


def test_two_workers_and_two_beats_fire_each_tick_once(celery_worker_process, tmp_path):
    path = tmp_path / "notes"
    env = each_second(path)
    starts = [("-c", "1", "-n", "one@here"), ("-c", "1", "-n", "two@here")]
    all_ = [celery_worker_process(SHOP, *args, env=env, ready=None) for args in starts]
    all_ += [celery_worker_process(SHOP, env=env, ready=None, program="beat") for _ in range(2)]
    for process, ready in zip(all_, [" ready."] * 2 + [BEAT] * 2, strict=True):
        process.wait_for(ready)
    ticks = fired(len(Tick.objects.all()) + 4)
    assert each_tick_is_one_job(ticks)
    wait_until(lambda: len(lines(path)) >= len(ticks))
    assert not [process.log for process in all_ if "Traceback" in process.output]


def beats_files() -> list[str]:
    """Where beat keeps its schedule, unless told otherwise; others work in this folder meanwhile."""
    return [path.name for path in ROOT.iterdir() if path.name.startswith(("celerybeat", "django."))]


@pytest.mark.parametrize(
    ("args", "settings", "says"),
    [
        ((), {}, False),
        (("-S", "django"), {}, True),
        ((), {"CELERY_BEAT_SCHEDULER": "django_celery_beat.schedulers:DatabaseScheduler"}, True),
    ],
)
def test_beat_fires_without_a_broker_or_a_file_and_says_whose_it_took_over(
    celery_worker_process, tmp_path, args, settings, says
):
    env = each_second(tmp_path / "notes", CELERY_BROKER_URL=NOWHERE, **settings)
    beat = celery_worker_process(SHOP, *args, env=env, ready=BEAT, program="beat")
    assert each_tick_is_one_job(fired(2))
    assert (TAKEN_OVER in beat.output) is says
    beat.send(signal.SIGTERM)
    assert beat.wait() == 0
    assert not beats_files()


def test_a_scheduler_of_the_projects_own_is_left_alone(celery_worker_process, tmp_path):
    env = each_second(tmp_path / "notes")
    beat = celery_worker_process(SHOP, "-S", "celery.beat:Scheduler", env=env, ready=BEAT, program="beat")
    wait_until(Job.objects.exists)
    assert not Tick.objects.exists()
    assert beat.process.poll() is None


def test_a_worker_with_an_embedded_beat(celery_worker_process, tmp_path):
    path = tmp_path / "notes"
    env = each_second(path, celeriac={"SCHEDULES": False})  # so that only the embedded one fires
    worker = celery_worker_process(SHOP, "-c", "1", "-B", "--scheduler", "django", env=env)
    assert each_tick_is_one_job(fired(2))
    wait_until(lambda: len(lines(path)) >= 2)
    assert TAKEN_OVER in worker.output
    assert "Traceback" not in worker.output
    assert "not available" not in worker.output
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert not beats_files()


def test_workers_that_shall_not_fire_do_not(celery_worker_process, tmp_path):
    path = tmp_path / "notes"
    env = each_second(path, celeriac={"SCHEDULES": False})
    celery_worker_process(SHOP, "-c", "1", env=env)
    assert note.delay(str(path), "asked").get(timeout=10) == "asked"
    assert not Schedule.objects.exists()
    celery_worker_process(SHOP, env=env, ready=BEAT, program="beat")
    wait_until(lambda: "tick" in lines(path))


def test_a_row_edited_by_hand_is_seen_within_five_seconds(celery_worker_process, tmp_path):
    path = tmp_path / "notes"
    periodic_task(path, enabled=False)
    celery_worker_process(SHOP, "-c", "1", env=settings_env(CELERIAC={}))
    wait_until(lambda: Schedule.objects.filter(name="t", enabled=False).exists())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_celery_beat_periodictask SET enabled = TRUE")
    wait_until(lambda: Schedule.objects.filter(enabled=True).exists(), 5.0)
    wait_until(lambda: len(lines(path)) >= 2)
    assert each_tick_is_one_job(fired(2))
    wait_until(lambda: PeriodicTask.objects.get().total_run_count >= 2)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_celery_beat_periodictask")
    wait_until(lambda: not Schedule.objects.exists(), 5.0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_another_fires_when_the_leader_is_gone(celery_worker_process, tmp_path, how):
    env = each_second(tmp_path / "notes")
    two = [celery_worker_process(SHOP, "-c", "1", "-n", f"{name}@here", env=env) for name in ("one", "two")]
    fired(1)
    gone = leader(two)
    os.killpg(gone.pid, how)
    before = Tick.objects.count()
    try:
        ticks = fired(before + 2, 5.0)
    finally:
        os.killpg(gone.pid, signal.SIGCONT)
    if how == signal.SIGSTOP:
        ticks = fired(len(ticks) + 3)
    assert each_tick_is_one_job(ticks)


def test_beat_goes_on_after_an_outage(celery_worker_process, proxy, by_proxy, tmp_path):
    proxy.open()
    env = by_proxy | each_second(tmp_path / "notes")
    beat = celery_worker_process(SHOP, env=env, ready=BEAT, program="beat")
    fired(1)
    proxy.cut()
    beat.wait_for("database is not available")
    before = Tick.objects.count()
    proxy.open()
    beat.wait_for("database is back", 30)
    ticks = fired(before + 2)
    assert each_tick_is_one_job(ticks)
    assert "Traceback" not in beat.output


def test_beat_started_without_its_database_waits_for_it(celery_worker_process, proxy, by_proxy, tmp_path):
    env = by_proxy | each_second(tmp_path / "notes")
    beat = celery_worker_process(SHOP, env=env, ready="database is not available", program="beat")
    proxy.open()
    beat.wait_for("database is back", 30)
    assert each_tick_is_one_job(fired(1))


def test_what_is_not_durable_is_left_to_the_broker(celery_worker_process, tmp_path, broker_url):
    path = tmp_path / "notes"
    # Results of such tasks would be rows.
    env = each_second(path, task=fleeting, CELERY_BROKER_URL=broker_url, CELERY_TASK_IGNORE_RESULT=True)
    celery_worker_process(SHOP, "-c", "1", env=env)
    wait_until(lambda: len(lines(path)) >= 2)
    assert set(Tick.objects.values_list("outcome", "job")) == {("sent", None)}
    assert not Job.objects.exists()
