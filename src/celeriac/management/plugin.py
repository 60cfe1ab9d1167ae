"""`celery -A app jobs …`. Celery finds this by its entry point.

It does so in every project that is installed beside it, with Django or without: nothing is imported before it is run.
"""

import click

__all__ = ["jobs"]


@click.command(
    add_help_option=False,  # the arguments are read by one parser, and so is --help
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
    short_help="See, replay, discard and cancel jobs.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def jobs(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """See, replay, discard and cancel Celeriac's jobs."""
    import django
    from django.apps import apps
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        if not apps.ready and settings.INSTALLED_APPS is not None:
            django.setup()
    except ImproperlyConfigured as error:
        raise click.ClickException(f"Name your project's app, as in `celery -A yourproject jobs`. {error}") from error
    if not apps.is_installed("celeriac"):
        raise click.ClickException("celeriac is not in INSTALLED_APPS.")
    from celeriac.management.commands.jobs import Command

    named = ctx.parent.params.get("app") if ctx.parent is not None else None
    program = f"celery -A {named}" if isinstance(named, str) else "celery"
    plain = ["--no-color"] if getattr(ctx.obj, "no_color", False) and "--force-color" not in arguments else []
    Command().run_from_argv([program, "jobs", *plain, *arguments])
