"""The addresses of the admin's pages, and what is read off them."""

from __future__ import annotations

import html
import re

from celeriac.ledger.selection import Selection

JOBS = "/admin/celeriac/job/"
GROUPS = f"{JOBS}groups/"
ACTIONS = "/admin/celeriac/action/"
CHANGES = "/admin/celeriac/change/"
WORKERS = "/admin/celeriac/worker/"
QUEUES = "/admin/celeriac/queue/"
SCHEDULES = "/admin/celeriac/schedule/"
NAMED = f"{SCHEDULES}named/"
TICKS = "/admin/celeriac/tick/"
LISTS = (JOBS, GROUPS, ACTIONS, CHANGES, WORKERS, QUEUES, SCHEDULES, TICKS)


def page_of(job) -> str:
    return f"{JOBS}{job.id}/change/"


def schedule_page(row) -> str:
    return f"{SCHEDULES}{row.pk}/change/"


def edit_of(job) -> str:
    return f"{JOBS}{job.id}/edit/"


def to(verb: str) -> str:
    return f"{JOBS}operate/{verb}/"


def said(*jobs, **filters) -> str:
    """A selection as a form carries it."""
    return (Selection.of(*(job.id for job in jobs)) if jobs else Selection(**filters)).as_json()


def text(response) -> str:
    return response.content.decode()


def carried(response) -> Selection:
    """The selection that the form of a page that asks carries to the deed."""
    [found] = re.findall(r'name="selection" value="([^"]*)"', text(response))
    return Selection.from_json(html.unescape(found))


def listed(response) -> list:
    return [job.id for job in response.context["cl"].result_list]


def listed_names(response) -> list[str]:
    return [row.name for row in response.context["cl"].result_list]
