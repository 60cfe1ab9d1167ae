"""A partner is away: from the first failure to the last delivery, in a transcript. Needs `django.setup()`."""

import time
from collections.abc import Callable, Iterable

from customers.tasks import tell_partner
from django.utils import timezone
from shop.celery import app

from celeriac.api import operate
from celeriac.api.operate import By, Selection, Step
from celeriac.api.retrying import policy_of
from celeriac.ledger import dead
from celeriac.models import Action, Attempt, Job
from livedemo.partner import Partner

EVENTS = [f"order-{number} shipped" for number in range(1, 13)]
ADA = "ada"
WITHIN = 40.0
LOOK_EVERY = 0.05


class Outage:
    """`play()` prints the transcript and returns whether each event was delivered exactly once."""

    def __init__(self) -> None:
        self._partner = Partner()
        self._started = time.monotonic()

    def play(self) -> bool:
        try:
            return self._play()
        finally:
            self._partner.close()

    def _play(self) -> bool:
        self._say("The partner's server is down. We ship 12 orders, and tell the partner of each.")
        jobs = [result.id for result in app.enqueue_many(tell_partner.s(self._partner.url, event) for event in EVENTS)]
        self._watch_retries(jobs)
        self._until("all are dead", lambda: self._states(jobs) == {"dead"})
        [group] = self._show_groups()
        selection = Selection(fingerprint=group.fingerprint)

        self._say("Ada believes that the partner is back. It is not. She replays the group, with a canary:")
        early = operate.replay(selection, By(ADA, "the partner says it is back", "outage.py"), canary=True)
        self._go_on(early)
        self._tell(early)
        self._until("the canary has given up, too", lambda: self._states(jobs) == {"dead"})

        self._partner.open()
        self._say("Now the partner's server is up. Ada replays the group again, with a canary:")
        late = operate.replay(selection, By(ADA, "the partner is back, I looked", "outage.py"), canary=True)
        self._go_on(late)
        self._tell(late)
        self._until("all have succeeded", lambda: self._states(jobs) == {"succeeded"})
        return self._settle(jobs)

    # -- what is shown

    def _say(self, text: str) -> None:
        print(f"\n[{time.monotonic() - self._started:5.1f} s] {text}", flush=True)

    def _watch_retries(self, jobs: list[str]) -> None:
        policy = policy_of(tell_partner)
        print("\n  failure  jobs  waits until the next attempt   of at most", flush=True)
        for number in range(1, (policy.max_retries or 0) + 1):
            waits: dict[str, float] = {}

            def look(number: int = number, waits: dict[str, float] = waits) -> bool:
                for job, wait in self._waits(jobs, number):
                    waits.setdefault(job, wait)
                return len(waits) == len(jobs)

            self._until(f"failure {number}", look)
            shown = f"{min(waits.values()):.2f} s … {max(waits.values()):.2f} s"
            print(f"  {number:7}  {len(waits):4}  {shown:30}  {policy.longest(number - 1):.0f} s", flush=True)

    def _waits(self, jobs: list[str], number: int) -> Iterable[tuple[str, float]]:
        """Seconds from each job's failure *number* to the time that was set for its next attempt."""
        failures = Attempt.objects.filter(job_id__in=jobs, number=number, replay=0).select_related("job")
        for failure in failures:
            following = Attempt.objects.filter(job_id=failure.job_id, number=number + 1, replay=0).first()
            next_ = failure.job.run_at if following is None else following.started_at
            if next_ is not None:
                yield str(failure.job_id), (next_ - failure.finished_at).total_seconds()

    def _show_groups(self) -> list[dead.Group]:
        found = dead.groups()
        self._say(f"{dead.count(Selection(states=('dead',)))} dead letters, in {len(found)} group(s):")
        for group in found:
            print(f"\n  {group.count} of {group.task}, dead because {group.reason}")
            print(f"      {group.exception}: {group.message}")
            print(f"      fingerprint {group.fingerprint}")
            ago = (timezone.now() - group.last).total_seconds()
            print(f"      the first at {group.first:%H:%M:%S}, the last at {group.last:%H:%M:%S} ({ago:.0f} s ago)")
        return found

    def _tell(self, action: Action) -> None:
        print(f"  {action.state}: sent {action.changed} of {action.matched}. {action.note}".rstrip(), flush=True)

    def _settle(self, jobs: list[str]) -> bool:
        taken = self._partner.taken
        self._say("What the partner took:")
        once = taken == dict.fromkeys(EVENTS, 1)
        print(f"  {taken.total()} events, {len(taken)} different; each of the {len(EVENTS)} exactly once: {once}")
        print("\nThe account of it, from the ledger:")
        for action in Action.objects.order_by("created_at"):
            print(f"  {action.created_at:%H:%M:%S} {action.actor}: {action.verb}, {action.changed}, {action.state}")
            print(f"           because {action.reason!r}")
        job = Job.objects.filter(id__in=jobs).order_by("-replays").first()
        if job is not None:
            print(f"\nThe canary's own story: {job.task}[{job.id}] is {job.state}, replayed {job.replays} times")
            for attempt in job.attempts.order_by("id"):
                kind = f"{attempt.kind}: {attempt.exception}"
                print(
                    f"  {attempt.finished_at:%H:%M:%S.%f}"[:-3],
                    f"replay {attempt.replay}, attempt {attempt.number}, {kind}",
                )
            print(f"  {job.finished_at:%H:%M:%S.%f}"[:-3], f"replay {job.replays}, succeeded")
        return once

    # -- waiting, within bounds

    def _states(self, jobs: list[str]) -> set[str]:
        return set(Job.objects.filter(id__in=jobs).order_by().values_list("state", flat=True).distinct())

    def _go_on(self, action: Action) -> None:
        self._until("the replay is over", lambda: operate.go_on(action) == Step.OVER)

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + WITHIN
        while not holds():
            if time.monotonic() > until:
                raise SystemExit(f"After {WITHIN:.0f} s not yet: {what}.")
            time.sleep(LOOK_EVERY)
