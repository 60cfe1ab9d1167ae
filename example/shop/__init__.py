"""The shop's project package. Importing it makes the Celery app current, so that every `@shared_task` finds it."""

from shop.celery import app as celery_app

__all__ = ["celery_app"]
