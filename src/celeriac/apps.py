"""The Django app."""

from django.apps import AppConfig
from django.core.checks import register


class CeleriacConfig(AppConfig):
    """Celeriac as an entry of INSTALLED_APPS."""

    name = "celeriac"
    verbose_name = "Celeriac"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from celeriac.checks import check_schedules, check_settings, check_tasks

        register(check_settings)
        register(check_tasks)
        register(check_schedules)
