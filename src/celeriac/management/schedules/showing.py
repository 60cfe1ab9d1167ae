"""`schedules show`: everything a person wants to know of a schedule."""

import json
from typing import Any

from celeriac.management.jobs.acting import action_json
from celeriac.management.schedules import following, history
from celeriac.management.schedules.telling import standing_cell, wall, zone_or_ours
from celeriac.management.terminal.moments import ago
from celeriac.management.terminal.page import Page, stored, told
from celeriac.management.terminal.screen import Screen, clean, one_line
from celeriac.schedules.definition import aware, skips
from celeriac.schedules.models import Schedule
from celeriac.schedules.preview import as_json, coming, coming_json, is_overdue, tick_json
from celeriac.schedules.queries import actions_on, find, last_ticks, ticks_of
from celeriac.schedules.words import in_words, policy_in_words

__all__ = ["show"]

#: So many ticks to come, ticks that were, and things that operators did.
COMING, TICKS, ACTIONS = 5, 10, 5

_SOURCES = {
    "settings": "CELERY_BEAT_SCHEDULE",
    "task": "schedule= of the task",
    "table": "django-celery-beat's tables, in the admin",
}


def show(options: dict[str, Any], screen: Screen) -> None:
    """Tell all of one schedule."""
    row = find(options["name"])
    if options["json"]:
        screen.json(_all_of(row, screen))
        return
    _Page(screen, row).write()


def _all_of(row: Schedule, screen: Screen) -> dict[str, Any]:
    return {
        **as_json(row, screen.now, last_ticks([row]).get(row.name)),
        "description": row.description,
        "args": stored(row.args),
        "kwargs": stored(row.kwargs),
        "options": stored(row.options),
        "timing": stored(row.timing),
        "policy": stored(row.policy),
        "once": row.once,
        "starts_at": row.starts_at and aware(row.starts_at).isoformat(),
        "ends_at": row.ends_at and aware(row.ends_at).isoformat(),
        "skips": sorted(instant.isoformat() for instant in skips(row)),
        "coming": [coming_json(one) for one in coming(row, COMING, screen.now)],
        "ticks": [tick_json(tick) for tick in ticks_of(row.name, TICKS)],
        "actions": [action_json(action) for action in actions_on(row.name, ACTIONS)],
    }


class _Page(Page):
    """One schedule, written down."""

    def __init__(self, screen: Screen, row: Schedule) -> None:
        super().__init__(screen)
        self.row, self.zone = row, zone_or_ours(row)

    def write(self) -> None:
        """Write it, what matters most first."""
        row, now = self.row, self.screen.now
        self.screen.line(clean(row.name), "MIGRATE_HEADING")
        word = standing_cell(row, now)
        self.named("state", f"{self.screen.styled(word.text, word.style)}{self._since()}", clean_it=False)
        self.wrapped("trouble", row.trouble)
        self.wrapped("is", row.description)
        self.named("schedule", in_words(row) if row.timing != "{}" else "")
        self._bounds()
        self.named("written in", _SOURCES.get(row.source, row.source) + (f" of {row.origin}" if row.origin else ""))
        self.named("task", row.task)
        self.named("args", told(row.args, self.width) if row.args != "[]" else "")
        self.named("kwargs", told(row.kwargs, self.width) if row.kwargs != "{}" else "")
        self.named("options", self._options())
        self.named("policies", "\n".join(policy_in_words(row)))
        self.named("skipped", "\n".join(wall(one, self.zone) for one in sorted(skips(row))))
        self._actions()
        self._ticks()

    def _since(self) -> str:
        row, now = self.row, self.screen.now
        if row.paused_at is not None:
            return f" since {wall(row.paused_at, self.zone)} ({ago(row.paused_at, now)})"
        if is_overdue(row, now) and row.next_tick is not None:
            return f": was due {wall(row.next_tick, self.zone)} ({ago(row.next_tick, now)}), and nobody has fired it"
        return ""

    def _bounds(self) -> None:
        row = self.row
        self.named("begins", wall(row.starts_at, self.zone) if row.starts_at else "")
        self.named("ends", wall(row.ends_at, self.zone) if row.ends_at else "")
        self.named("", "once, with its first job" if row.once and "at" not in json.loads(row.timing) else "")

    def _options(self) -> str:
        """The options that were said; the name that django-celery-beat gives each call is none."""
        said = stored(self.row.options)
        if isinstance(said, dict):
            headers = said.get("headers") or {}
            headers.pop("periodic_task_name", None)
            said = {name: value for name, value in said.items() if name != "headers" or headers}
        return told(json.dumps(said), self.width) if said else ""

    def _actions(self) -> None:
        lines = []
        for action in actions_on(self.row.name, ACTIONS):
            because = f": {one_line(action.reason)}" if action.reason else ""
            lines.append(
                f"{wall(action.created_at, self.zone)} {action.verb} by {action.actor} ({action.origin}){because}"
            )
        self.named("operators", "\n".join(lines))

    def _ticks(self) -> None:
        if found := coming(self.row, COMING, self.screen.now):
            self.screen.line()
            self.screen.line("next", "MIGRATE_LABEL")
            following.table_of([(one, self.row) for one in found], self.screen, named=False)
        if ticks := ticks_of(self.row.name, TICKS):
            self.screen.line()
            self.screen.line("last", "MIGRATE_LABEL")
            history.table_of(ticks, {self.row.name: self.row}, self.screen, named=False)
