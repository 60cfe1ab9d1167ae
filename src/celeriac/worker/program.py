"""The worker program."""

import gc
import logging
from typing import Any

from celery.apps.worker import Worker as CeleryWorker
from celery.concurrency import get_implementation

from celeriac.worker import turns
from celeriac.worker.prefork import ours

__all__ = ["Worker"]

logger = logging.getLogger("celeriac")


class Worker(CeleryWorker):
    """Celery's worker, with a pool that may be given work from any thread."""

    pool_cls: Any

    def should_use_eventloop(self) -> bool:
        """Return False: with the hub, only the consumer's thread may dispatch, and it waits for the broker."""
        return False

    @property
    def _brokerless(self) -> bool:
        return str(self.app.conf.broker_url).startswith("memory://")

    def install_platform_tweaks(self, worker: Any) -> None:
        """Install Celery's handlers of signals, so that they take turns."""
        super().install_platform_tweaks(worker)
        turns.install()

    def wait_for_soft_shutdown(self) -> None:
        """Interrupt what runs: after this, a cold shutdown waits for the pool, and the pool for every body."""
        super().wait_for_soft_shutdown()
        ledger = getattr(self, "ledger", None)
        if ledger is not None:
            ledger.interrupt(self.app.conf.worker_soft_shutdown_timeout)

    def on_start(self) -> None:
        """Say once what runs without a broker; then the pool starts, and forks."""
        super().on_start()
        _freeze()
        if self._brokerless:
            logger.warning(
                "No broker is configured (CELERY_BROKER_URL), so memory:// is used. Durable jobs need none; remote "
                "control, Flower and tasks with durable=False do."
            )

    def setup_defaults(self, *args: Any, **kwargs: Any) -> None:
        """Leave gossip and mingle out where no other worker can be heard; take our own prefork pool."""
        if self._brokerless:
            kwargs.update(without_gossip=True, without_mingle=True)
        super().setup_defaults(*args, **kwargs)
        self.pool_cls = ours(get_implementation(self.pool_cls))


def _freeze() -> None:
    """Have the collector pass by what is there now: the project, its libraries and Celery, which stay to the end.

    Else each process looks through all of that again and again, and in a forked one each look makes copies of the pages
    it shares with the worker (docs/decisions/0026-the-collector-passes-by.md).
    """
    gc.collect()
    gc.freeze()
