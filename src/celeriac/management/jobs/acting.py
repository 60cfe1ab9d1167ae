"""`jobs replay`, `discard`, `cancel`: what filters match is shown, and done with `--yes`; ids are done at once."""

import json
from typing import Any

from celery import current_app
from django.core.management.base import CommandError

from celeriac.api import operate, payload
from celeriac.api.edit import edited
from celeriac.api.operate import By, Selection
from celeriac.errors import PayloadError, WrongArguments
from celeriac.ledger.audit import Action, Change
from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Job
from celeriac.ledger.operators import VERBS
from celeriac.ledger.states import State
from celeriac.management.jobs.choose import added_filters, ids_of, selection_of
from celeriac.management.jobs.following import follow
from celeriac.management.jobs.preview import counted, preview
from celeriac.management.terminal.arguments import by_of
from celeriac.management.terminal.page import iso, stored
from celeriac.management.terminal.screen import Screen, clean

__all__ = ["action_json", "operate_on"]


def operate_on(options: dict[str, Any], screen: Screen) -> None:
    """Show what the verb would do to the jobs that are meant, or do it."""
    verb = options["verb"]
    selection = _chosen(options, screen)
    if options["new_args"] is not None or options["new_kwargs"] is not None:
        _show_edit(selection, options, screen)
    if options["dry_run"] or not (selection.ids or options["yes"]):
        preview(verb, selection, options, screen)
        return
    by = by_of(options)
    if verb == "discard" and not by.reason:
        raise CommandError("Say why they may be put away: --why TEXT.")
    if not selection.ids and not selection.rows().exists():
        raise CommandError(f"There are no {selection}. Nothing was changed.")
    action = _begun(verb, selection, by, options)
    if not options["no_wait"]:
        follow(action, screen)
    _tell(action, selection, options, screen)


def action_json(action: Action) -> dict[str, Any]:
    """Return an action for a program."""
    return {
        "id": str(action.id),
        "verb": action.verb,
        "state": action.state,
        "actor": action.actor,
        "reason": action.reason,
        "origin": action.origin,
        "selection": stored(action.selection),
        "matched": action.matched,
        "changed": action.changed,
        "skipped": action.skipped,
        "note": action.note,
        "created_at": iso(action.created_at),
        "ended_at": iso(action.ended_at),
    }


def _chosen(options: dict[str, Any], screen: Screen) -> Selection:
    filters = added_filters(options)
    if options["ids"] and (filters or options["all"]):
        raise CommandError(f"Name jobs by id or by filters, not both: {', '.join(filters or ['--all'])}.")
    if options["ids"]:
        return Selection.of(*ids_of(options["ids"]))
    if not filters and not options["all"]:
        every = Selection().within(VERBS[options["verb"]].states)
        raise CommandError(f"Name jobs by id or by filters, or say --all for all {every}.")
    selection = selection_of(options, screen.now)
    try:
        return VERBS[options["verb"]].check(selection, {"force": options["force"]})
    except ValueError as error:
        raise CommandError(_and_force(str(error), selection, options)) from error


def _and_force(said: str, selection: Selection, options: dict[str, Any]) -> str:
    forced = options["verb"] == "replay" and State.SUCCEEDED in selection.states
    return f"{said} With --force also those that succeeded: they have their effects again." if forced else said


def _begun(verb: str, selection: Selection, by: By, options: dict[str, Any]) -> Action:
    try:
        if verb == "discard":
            return operate.discard(selection, by)
        if verb == "cancel":
            return operate.cancel(selection, by, terminate=options["terminate"])
        return operate.replay(
            selection,
            by,
            rate=options["rate"],
            canary=options["canary"],
            force=options["force"],
            args=_parsed(options["new_args"], "--args", list),
            kwargs=_parsed(options["new_kwargs"], "--kwargs", dict),
        )
    except ValueError as error:
        raise CommandError(str(error)) from error


def _parsed(text: str | None, name: str, kind: type) -> Any:
    if text is None:
        return None
    try:
        value = payload.decode(text)
    except ValueError as error:
        raise CommandError(f"{name} is not JSON ({error}): {text}") from error
    if not isinstance(value, kind):
        wanted = 'a list, as [1, "two"]' if kind is list else 'an object, as {"name": 1}'
        raise CommandError(f"{name} must be {wanted}, not {text}.")
    return value


def _show_edit(selection: Selection, options: dict[str, Any], screen: Screen) -> None:
    """Say what would be other; refuse what does not fit before anything else is said."""
    if len(selection.ids) != 1:
        raise CommandError("Other arguments are for one job, by its id.")
    current_app.loader.import_default_modules()  # else it knows no task to compare them with
    job = Job.objects.using(alias_of()).get(id=selection.ids[0])
    args = _parsed(options["new_args"], "--args", list)
    kwargs = _parsed(options["new_kwargs"], "--kwargs", dict)
    try:
        *_, diff = edited(current_app, job, args, kwargs)
    except (WrongArguments, PayloadError) as error:
        raise CommandError(str(error)) from error
    if job.task not in current_app.tasks:
        screen.note(f"This process does not know the task {job.task}: whether they fit was not checked.")
    for name, (before, after) in diff.items():
        screen.note(clean(f"{name}: {json.dumps(before)} -> {json.dumps(after)}"))
    if not diff:
        screen.note("The arguments are what they were.")


def _tell(action: Action, selection: Selection, options: dict[str, Any], screen: Screen) -> None:
    if options["json"]:
        screen.json(action_json(action))
    else:
        of = f" of {action.matched:,}" if action.matched != action.changed else ""
        note = f" ({clean(action.note)})" if action.note else ""
        style = "SUCCESS" if action.changed and action.state != "stopped" else "WARNING"
        screen.line(f"{_done(action)}{of}.{note}", style)
    if action.state == "open":
        screen.note(f"Left to the worker that leads. How far it is: {screen.program} actions {action.id}")
    elif action.state == "stopped":
        raise CommandError("It was stopped: the rest is as it was.")
    elif not action.changed:
        raise CommandError(f"Nothing was changed.{_hint(selection, options)}")


def _done(action: Action) -> str:
    if action.verb != "cancel":
        return f"{'Replayed' if action.verb == 'replay' else 'Discarded'} {counted(action.changed)}"
    asked = Change.objects.using(alias_of()).filter(action=action, before=State.RUNNING).count()
    told = [f"Asked {counted(asked)} to end"] if asked else []
    if action.changed > asked or not asked:
        told.append(f"{'cancelled' if asked else 'Cancelled'} {counted(action.changed - asked)}")
    return ", and ".join(told)


def _hint(selection: Selection, options: dict[str, Any]) -> str:
    """Say how the jobs stand that were named by their ids."""
    if not selection.ids:
        return ""
    states = set(selection.rows().values_list("state", flat=True))
    forced = options["verb"] == "replay" and State.SUCCEEDED in states
    force = " --force replays also what succeeded; it then has its effects again." if forced else ""
    return f" {'They are' if len(selection.ids) > 1 else 'It is'} {', '.join(sorted(states))}.{force}"
