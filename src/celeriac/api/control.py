"""`app.control`: Celery's remote control, but for what the ledger does better itself."""

from typing import Any

from celery.app import control
from celery.utils.functional import maybe_list

__all__ = ["Control"]


class Control(control.Control):
    """Celery's remote control, whose `revoke` and `terminate` write to the ledger first."""

    def revoke(
        self,
        task_id: Any,
        destination: Any = None,
        terminate: bool = False,  # noqa: FBT001, FBT002 - Celery's signature
        signal: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Cancel jobs by task id (or a list of ids); what is not in the ledger is broadcast to the workers as ever.

        Jobs need neither a worker nor a broker for it, and *destination* means nothing for them. Joins the transaction
        open on the ledger's alias: rolled back, nobody was asked anything.

        Raises:
            django.db.DatabaseError: when the ledger cannot be written.
        """
        # Here and not above: the app is there before the models are.
        from celeriac.api.enqueue import outside_loop
        from celeriac.api.revoke import revoke

        asked = [str(id_) for id_ in maybe_list(task_id) or []]
        unknown = outside_loop(lambda: revoke(asked, terminate=terminate, signal=signal))
        answers = []
        if len(unknown) < len(asked):
            done = ", ".join(id_ for id_ in asked if id_ not in set(unknown))
            answers.append({"ledger": {"ok": f"{'terminate' if terminate else 'revoke'}: {done}"}})
        if unknown and not str(self.app.conf.broker_url).startswith("memory://"):
            options = {"signal": signal} if signal else {}
            heard = super().revoke(unknown, destination=destination, terminate=terminate, **options, **kwargs)
            answers.extend(heard or [])
        return answers if kwargs.get("reply") else None
