from __future__ import annotations

import pytest
from django.core.management import call_command


@pytest.mark.django_db(databases="__all__")  # makemigrations asks each database whether its history is consistent
@pytest.mark.parametrize("app", ["celeriac", "shop"])
def test_models_and_migrations_agree(app):
    call_command("makemigrations", app, check=True, dry_run=True, verbosity=1)
