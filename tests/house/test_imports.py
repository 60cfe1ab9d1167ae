"""`from celeriac import Celery` stands at the top of a celery.py, before Django knows its settings."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from tests.house.source import MODULES, PACKAGE, ROOT


def module_name(path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def test_importing_celeriac_needs_no_settings():
    code = "import celeriac; from django.conf import settings; assert not settings.configured, 'read too early'"
    env = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"} | {"PYTHONPATH": str(PACKAGE.parent)}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_nor_does_any_of_its_names_so_that_a_project_may_start_with_them():
    names = ", ".join(name for name in importlib.import_module("celeriac").__all__ if not name.startswith("_"))
    code = f"from celeriac import {names}; from django.conf import settings; assert not settings.configured"
    env = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"} | {"PYTHONPATH": str(PACKAGE.parent)}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_what_it_promises_exists():
    celeriac = importlib.import_module("celeriac")
    names = getattr(celeriac, "__all__", [])
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(celeriac, name)] == []


@pytest.mark.parametrize("name", sorted(map(module_name, MODULES)))
def test_every_module_imports(name):
    importlib.import_module(name)
