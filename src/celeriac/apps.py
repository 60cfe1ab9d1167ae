"""The Django app."""

from django.apps import AppConfig


class CeleriacConfig(AppConfig):
    """Celeriac as an entry of INSTALLED_APPS."""

    name = "celeriac"
    verbose_name = "Celeriac"
    default_auto_field = "django.db.models.BigAutoField"
