"""`jobs show`: everything a person wants to know of a job."""

import textwrap
from typing import Any

from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Attempt, Job
from celeriac.ledger.states import State
from celeriac.management.jobs.choose import ids_of
from celeriac.management.jobs.story import MOST_RELATIVES, Story, story_of
from celeriac.management.jobs.telling import STYLES, took
from celeriac.management.terminal.moments import local
from celeriac.management.terminal.page import Page, short, stored, told
from celeriac.management.terminal.screen import Screen, clean, one_line

__all__ = ["show"]


def show(options: dict[str, Any], screen: Screen) -> None:
    """Tell the story of each job."""
    found = Job.objects.using(alias_of()).in_bulk(ids_of(options["ids"]))
    stories = [story_of(job) for job in found.values()]
    if options["json"]:
        screen.json([story.as_json() for story in stories])
        return
    for n, story in enumerate(stories):
        if n:
            screen.line()
        _Page(screen, story, every=options["all"]).write()


class _Page(Page):
    """One job's story, written down."""

    def __init__(self, screen: Screen, story: Story, *, every: bool) -> None:
        super().__init__(screen)
        self.story, self.job, self.every = story, story.job, every

    def write(self) -> None:
        """Write it, what matters most first."""
        job = self.job
        self.screen.line(f"{clean(job.task)}  {job.id}", "MIGRATE_HEADING")
        state = self.screen.styled(job.state, STYLES.get(job.state, ""))
        self.named("state", f"{state}{f', {job.reason}' if job.reason else ''}", clean_it=False)
        self.named("", self.story.hint)
        if job.cancel:
            self.named("", "somebody asked to cancel it")
        self.named("queue", f"{job.queue}{f', priority {job.priority}' if job.priority else ''}")
        self.named("key", f"{job.key}{' (held)' if job.held else ''}" if job.key else "")
        self.named("lane", job.lane)
        self.named("args", told(job.args, self.width) if job.args != "[]" else "")
        self.named("kwargs", told(job.kwargs, self.width) if job.kwargs != "{}" else "")
        self._times()
        self.named("result", told(job.result, self.width))
        self.named("progress", told(job.progress, self.width))
        self._relatives()
        self._effects()
        self._changes()
        self._attempts()

    def _times(self) -> None:
        job, now = self.job, self.screen.now
        self.named("asked", local(job.created_at, now))
        if job.state == State.SCHEDULED:
            self.named("due", local(job.run_at, now))
        if job.started_at is not None:
            self.named("started", local(job.started_at, now))
        if job.finished_at is not None:
            self.named("ended", _with(local(job.finished_at, now), took(job.started_at, job.finished_at)))
        if job.expires_at is not None and job.finished_at is None:
            self.named("expires", local(job.expires_at, now))
        counts = [f"{job.attempt:,} that did not succeed"] if job.attempt else []
        counts += [f"{job.losses:,} of them killed its process"] if job.losses else []
        counts += [f"replayed {_often(job.replays)}"] if job.replays else []
        self.named("attempts", ", ".join(counts))

    def _relatives(self) -> None:
        lines = [
            f"{short(id_)}  {f'{parent.state:<9}  {parent.task}' if parent else 'not there (yet)'}"
            for id_, parent in self.story.parents[:MOST_RELATIVES]
        ]
        name = "waits for" if self.job.state == State.WAITING else "waited"
        self.named(name, "\n".join(lines + _more(self.story.parents)))
        lines = [f"{short(child.id)}  {child.state:<9}  {child.task}" for child in self.story.children[:MOST_RELATIVES]]
        self.named("before", "\n".join(lines + _more(self.story.children)))

    def _effects(self) -> None:
        lines = []
        for effect in self.story.effects:
            if effect.done:
                lines.append(f"{effect.name}: done {local(effect.done_at or effect.begun_at)}, {told(effect.result)}")
            else:
                doubt = "in doubt, begun" if self.story.in_doubt(effect) else "at it since"
                lines.append(f"{effect.name}: {doubt} {local(effect.begun_at, self.screen.now)}")
        self.named("effects", "\n".join(lines))

    def _changes(self) -> None:
        lines = []
        for change in self.story.changes:
            action = change.action
            because = f": {one_line(action.reason)}" if action.reason else ""
            lines.append(f"{local(action.created_at)} {action.verb} by {action.actor} ({action.origin}){because}")
            lines += [f"  {name}: {old!r} -> {new!r}" for name, (old, new) in (stored(change.diff) or {}).items()]
        self.named("operators", "\n".join(lines))

    def _attempts(self) -> None:
        for n, attempt in enumerate(self.story.attempts):
            last = n == len(self.story.attempts) - 1
            self.screen.line()
            again = f" after replay {attempt.replay}" if attempt.replay else ""
            when = _with(local(attempt.finished_at), took(attempt.started_at, attempt.finished_at))
            head = f"  attempt {attempt.number}{again}: {attempt.kind}, {when}"
            self.screen.line(head, "MIGRATE_LABEL")
            if last or self.every:
                self._full(attempt)
            else:
                said = f"{attempt.exception}: {one_line(attempt.message)}"
                self.screen.line(f"    {textwrap.shorten(clean(said), self.width, placeholder=' ...')}")
        if len(self.story.attempts) > 1 and not self.every:
            self.screen.note("--all shows the tracebacks of all attempts.")

    def _full(self, attempt: Attempt) -> None:
        text = clean(attempt.traceback).strip()
        said = clean(f"{attempt.exception}: {attempt.message}").strip()
        if said.rpartition(": ")[2] not in text:
            self.screen.line(textwrap.indent(said, "    "), "ERROR")
        if text:
            self.screen.line(textwrap.indent(text, "    "))


def _with(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _often(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _more(several: list[Any]) -> list[str]:
    return ["and more"] if len(several) > MOST_RELATIVES else []
