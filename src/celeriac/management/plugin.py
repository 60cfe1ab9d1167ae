"""`celery -A app jobs …`, `celery -A app schedules …`. Celery finds these by their entry points.

It does so in every project that is installed beside it, with Django or without: nothing is imported before it is run.
"""

import click

__all__ = ["jobs", "schedules"]


def _command(name: str, text: str) -> click.Command:
    """Return Celery's way into Django's command *name*."""

    @click.pass_context
    def run(ctx: click.Context, arguments: tuple[str, ...]) -> None:
        _run(name, ctx, arguments)

    return click.Command(
        name,
        callback=run,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        add_help_option=False,  # the arguments are read by one parser, and so is --help
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
        help=text,
        short_help=text,
    )


def _run(name: str, ctx: click.Context, arguments: tuple[str, ...]) -> None:
    import django
    from django.apps import apps
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import load_command_class

    try:
        if not apps.ready and settings.INSTALLED_APPS is not None:
            django.setup()
    except ImproperlyConfigured as error:
        raise click.ClickException(f"Name your project's app, as in `celery -A yourproject {name}`. {error}") from error
    if not apps.is_installed("celeriac"):
        raise click.ClickException("celeriac is not in INSTALLED_APPS.")
    named = ctx.parent.params.get("app") if ctx.parent is not None else None
    program = f"celery -A {named}" if isinstance(named, str) else "celery"
    plain = ["--no-color"] if getattr(ctx.obj, "no_color", False) and "--force-color" not in arguments else []
    load_command_class("celeriac", name).run_from_argv([program, name, *plain, *arguments])


jobs = _command("jobs", "See, replay, discard and cancel jobs.")
schedules = _command("schedules", "See, run, pause, skip and backfill schedules.")
