"""The same tasks in a stock Celery app, to compare with."""

import os

from celery import Celery

app = Celery("stock", broker=os.environ.get("STOCK"), backend=os.environ.get("STOCK"), include=["tests.shop.tasks"])
app.conf.task_default_queue = "stock"
