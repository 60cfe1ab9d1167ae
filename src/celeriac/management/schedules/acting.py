"""`schedules run`, `pause`, `resume`, `skip`, `backfill`: through `schedules.operate`, which writes each down."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from celery import current_app
from django.core.management.base import CommandError

from celeriac.api.app import Celery
from celeriac.management.schedules.telling import finest, wall, zone_or_ours
from celeriac.management.terminal.arguments import by_of
from celeriac.management.terminal.page import short
from celeriac.management.terminal.screen import Screen, clean
from celeriac.management.terminal.typed import moment_of
from celeriac.schedules import operate
from celeriac.schedules.definition import aware, is_due, skips
from celeriac.schedules.models import Schedule
from celeriac.schedules.preview import tick_json
from celeriac.schedules.queries import find, no_schedule, schedules_of
from celeriac.schedules.zones import reached, shown

__all__ = ["backfill", "run", "skip", "switch"]


def run(options: dict[str, Any], screen: Screen) -> None:
    """Ask for a job now."""
    app = _app(screen)
    with _refused():
        tick = operate.run(options["name"], by_of(options), app=app)
    if options["json"]:
        screen.json(tick_json(tick))
    elif tick.job is None:
        screen.line("Sent to the broker: its task is not durable.", "SUCCESS")
    else:
        screen.line(f"Asked for job {tick.job}.", "SUCCESS")
        screen.note(f"What becomes of it: {screen.program.removesuffix('schedules')}jobs show {short(tick.job)}")


def switch(options: dict[str, Any], screen: Screen) -> None:
    """Pause or resume schedules."""
    verb, names = options["verb"], list(dict.fromkeys(options["names"]))
    if bool(names) == options["all"]:
        raise CommandError(f"Name the schedules to {verb}, or say --all.")
    rows = schedules_of(names or None)
    if missing := [name for name in names if name not in rows]:
        raise no_schedule(missing[0])
    act, by = (operate.pause if verb == "pause" else operate.resume), by_of(options)
    # With --all only those that it changes, so that ten thousand others are not asked one by one.
    chosen = names or [name for name, row in rows.items() if (row.paused_at is None) == (verb == "pause")]
    changed = {name: act(name, by) for name in chosen}
    if options["json"]:
        screen.json([{"name": name, "changed": done} for name, done in changed.items()])
        return
    for name in [name for name, done in changed.items() if not done]:
        screen.note(clean(f"{name} was {'paused already' if verb == 'pause' else 'not paused'}."))
    count = sum(changed.values())
    what = clean(names[0]) if names[1:] == [] and names else f"{count:,} schedule{'s' if count != 1 else ''}"
    if count or not names:
        screen.line(f"{'Paused' if verb == 'pause' else 'Resumed'} {what}.", "SUCCESS")
    if verb == "resume" and count:
        screen.note("What was due meanwhile was not fired; `backfill` asks for it.")


def skip(options: dict[str, Any], screen: Screen) -> None:
    """Take a tick out, or put it back."""
    row = find(options["name"])
    at = _instant(row, options["at"]) if options["at"] else None
    with _refused():
        instant = _put_back(row, at, options) if options["undo"] else operate.skip(row.name, by_of(options), instant=at)
    if options["json"]:
        screen.json({"name": row.name, "instant": aware(instant).isoformat(), "skipped": not options["undo"]})
        return
    text = _both(row, instant)
    screen.line(f"Put back: {text}." if options["undo"] else f"Will be no job: {text}.", "SUCCESS")


def _put_back(row: Schedule, at: datetime | None, options: dict[str, Any]) -> datetime:
    taken_out = sorted(skips(row))
    if not taken_out:
        raise CommandError(f"No tick of {row.name} is skipped.")
    named = "; ".join(_both(row, one) for one in taken_out)
    if at is None and len(taken_out) > 1:
        raise CommandError(f"Say which with --at: {named}.")
    instant = at or taken_out[0]
    if not operate.unskip(row.name, by_of(options), instant):
        raise CommandError(f"That tick is not skipped. Skipped: {named}.")
    return instant


def backfill(options: dict[str, Any], screen: Screen) -> None:
    """Say how many jobs a backfill asks for, or ask for them."""
    row = find(options["name"])
    zone = zone_or_ours(row)
    since = moment_of(options["since"], screen.now, zone)
    until = moment_of(options["until"], screen.now, zone) if options["until"] else screen.now
    with _refused():
        wanted = operate.to_backfill(row.name, since, until)
        done = operate.backfill(row.name, since, until, by_of(options), app=_app(screen)) if options["yes"] else None
    count = len(done.ticks if done is not None else wanted.instants)
    if options["json"]:
        screen.json(
            {
                "dry_run": done is None,
                "name": row.name,
                "due": wanted.due,
                "jobs": count,
                "had_one": wanted.due - count,
                "ticks": [tick_json(tick) for tick in done.ticks] if done is not None else [],
            }
        )
        return
    if not wanted.due:
        raise CommandError(f"{row.name} was not due between {wall(since, zone)} and {wall(until, zone)}.")
    there = f" ({wanted.due - count:,} of {wanted.due:,} ticks have had one)" if wanted.due > count else ""
    jobs = f"{count:,} job{'s' if count != 1 else ''} of {clean(row.task)}{there}"
    if done is not None:
        screen.line(f"Asked for {jobs}.", "SUCCESS")
        return
    screen.line(f"Would ask for {jobs}.", "MIGRATE_LABEL")
    if wanted.instants:
        screen.line(f"first  {_both(row, wanted.instants[0])}")
        screen.line(f"last   {_both(row, wanted.instants[-1])}")
    screen.note("Nothing was done. To ask for them, add --yes." if wanted.instants else "There is nothing to do.")


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise CommandError(clean(str(error))) from error


def _app(screen: Screen) -> Celery:
    """Return the project's app; it makes the jobs, by the options of its tasks."""
    app = current_app._get_current_object()  # noqa: SLF001 - Celery's proxy has no other way to what it stands for
    if not isinstance(app, Celery):
        verb = screen.program.rpartition(" ")[2]
        raise CommandError(
            "This process knows no Celeriac app: import it in your project's package, as Celery's documentation says, "
            f"or say: celery -A yourproject {verb} ..."
        )
    app.loader.import_default_modules()  # else it knows no task, and none of their options
    return app


def _instant(row: Schedule, text: str) -> datetime:
    """Return the instant that was typed. Of a local time that there is twice, the one when it is due."""
    try:
        found = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise CommandError(f"{text!r} is no time: say when, as `next` shows it (2026-07-28T03:00).") from None
    if found.tzinfo is not None:
        return found
    zone = zone_or_ours(row)
    several = shown(found, zone) or [reached(found, zone)]
    return next((one for one in several if is_due(row, one)), several[0])


def _both(row: Schedule, instant: datetime) -> str:
    """An instant as the schedule's clock shows it, and in UTC."""
    fine, zone = finest([instant]), zone_or_ours(row)
    there, utc = wall(instant, zone, fine), wall(instant, fine=fine)
    return there if there == utc else f"{there} ({utc})"
