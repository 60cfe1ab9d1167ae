"""The story of the demo, in order: start everything, let the show play, end everything."""

import os
import signal
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import django
from django.db import connections
from rich.console import Console
from rich.markup import escape

from livedemo import children
from livedemo.children import Child, ChildEndedError
from livedemo.config import Config, from_environment
from livedemo.database import database
from livedemo.mailserver import MailServer

SITE_STARTS_WITHIN = 30.0


def main() -> int:
    """Run the demo; 0 when every promise was kept."""
    config = from_environment()
    # Not rich's guess: CI systems set FORCE_COLOR, and a live table in a log file is unreadable.
    console = Console(force_terminal=sys.stdout.isatty(), highlight=False, soft_wrap=True)
    # `kill` must end the children too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            return _run(config, console, stack)
    except ChildEndedError as error:
        console.print(escape(str(error)), style="red")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped before the first sign-up.")
        return 130


def _run(config: Config, console: Console, stack: ExitStack) -> int:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="celeriac-demo-", ignore_cleanup_errors=True)))
    console.print(f"[bold]Celeriac, live[/bold]: a small shop on {config.database}, its worker, and no broker.")
    where = stack.enter_context(database(config.database, folder))
    mail = stack.enter_context(MailServer())
    os.environ.update(where, EMAIL_PORT=str(mail.port), EMAIL_HOST="127.0.0.1", SHOP_DEBUG="0")
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    children.migrate()
    django.setup()
    stack.callback(connections.close_all)
    # Its models can be imported only now.
    from django.contrib.auth.models import User

    from livedemo.show import Show

    User.objects.create_superuser("demo", password="demo")
    port = children.free_port()
    url = f"http://127.0.0.1:{port}/"
    worker = children.worker(folder)
    stack.callback(worker.kill)
    site = children.site(port, folder)
    stack.callback(site.kill)
    _wait_for(url, site)
    _greet(console, config, url, where, worker)
    return Show(console, config, url, mail, worker, site).play()


def _wait_for(url: str, site: Child) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + SITE_STARTS_WITHIN
    while True:
        try:
            opener.open(url, timeout=5).close()
        except OSError as error:
            if site.exit_code is not None or time.monotonic() > until:
                raise ChildEndedError(
                    f"The site does not answer ({error}). Its last lines:\n{site.last_lines()}"
                ) from error
            time.sleep(0.1)
        else:
            return


def _greet(console: Console, config: Config, url: str, where: dict[str, str], worker: Child) -> None:
    length = f"for {config.seconds:g} s" if config.seconds else "until Ctrl-C"
    shell = f"psql -h {where['PGHOST']} -U postgres -c" if "PGHOST" in where else f"sqlite3 {where['SHOP_SQLITE']}"
    console.print(
        f"Customers sign up over HTTP {length}; each sign-up enqueues a welcome mail in its transaction.\n"
        "One in five is rolled back after the enqueue; some mails are refused for now, a few for ever.\n\n"
        f"  Look, and sign up yourself:  [bold]{url}[/bold]\n"
        f"  Operate on its jobs:         [bold]{url}admin/celeriac/job/[/bold]  (demo, password demo)\n"
        "  Try a declined card, or bounce@demo.example, and look for the job.\n"
        f"  The job is a row:            {shell} 'select task, state, attempt from celeriac_job'\n"
        f"  The worker:                  celery -A shop worker -c 2   (pid {worker.pid})\n"
    )
