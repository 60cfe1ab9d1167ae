"""Celeriac: durable jobs for Django and Celery. The job is a row, the database is the queue, Celery is the engine.

from celeriac import Celery     # was: from celery import Celery
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celeriac.api.app import Celery as Celery
    from celeriac.api.once import InDoubt as InDoubt

__version__ = "0.1.0"

__all__ = ["Celery", "InDoubt", "__version__"]


def __getattr__(name: str) -> Any:
    # Late, so that INSTALLED_APPS can import the package before Celery and the settings are there.
    if name == "Celery":
        from celeriac.api.app import Celery

        return Celery
    if name == "InDoubt":
        from celeriac.api.once import InDoubt

        return InDoubt
    raise AttributeError(f"module 'celeriac' has no attribute {name!r}")
