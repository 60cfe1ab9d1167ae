"""The room where operators look at jobs and act on them, inside Django's admin.

Django imports it where `django.contrib.admin` is installed, and nowhere else does it matter. It is for 3 a.m.: the
dead come first, grouped by what they seem to be dead of; from there to the one job with its whole story; and back by
one of three verbs, with a page between that says what would happen.

`jobs` is the list. Its filters (`filters`) are a `Selection`, and so is what is ticked, a group and "all that match":
no page here sends a million ids, and what the list shows is what the verb gets. `grouping` shows the groups,
`job_page` one job, `operating` asks and acts, `editing` replays with other arguments, `audit` tells who did what,
`fleet` shows workers and queues.

`schedules` is the list of what is due by itself, and of its ticks. `standings` asks the database how schedules stand,
`schedule_words` says it, `schedule_page` shows one, and `scheduling` asks and acts by `schedules.operate`.

`base` says who may: `view_job` to look, `operate_job` to act; rows themselves are
changed by nobody.

A page costs the same with ten dead jobs and with a million: counts stop at a cap, each order has an index, and the
sidebar finds its values by looking each up in an index.
"""

from django.contrib import admin

from celeriac.admin.audit import ActionAdmin, ChangeAdmin
from celeriac.admin.fleet import QueueAdmin, WorkerAdmin
from celeriac.admin.jobs import JobAdmin
from celeriac.admin.schedules import ScheduleAdmin, TickAdmin
from celeriac.ledger.audit import Action, Change
from celeriac.ledger.models import Job, Queue, Worker
from celeriac.schedules.models import Schedule, Tick

__all__ = ["ActionAdmin", "ChangeAdmin", "JobAdmin", "QueueAdmin", "ScheduleAdmin", "TickAdmin", "WorkerAdmin"]

admin.site.register(Job, JobAdmin)
admin.site.register(Schedule, ScheduleAdmin)
admin.site.register(Tick, TickAdmin)
admin.site.register(Action, ActionAdmin)
admin.site.register(Change, ChangeAdmin)
admin.site.register(Worker, WorkerAdmin)
admin.site.register(Queue, QueueAdmin)
