#!/usr/bin/env python
"""A webhook's outage, from the first failure to the replay, with a real worker: `make outage`. About 25 s."""

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import django
from django.db import connections
from livedemo import children
from livedemo.config import from_environment
from livedemo.database import database


def main() -> int:
    """Run it; 0 when each event was delivered exactly once."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="celeriac-outage-")))
        os.environ.update(stack.enter_context(database(from_environment().database, folder)), SHOP_DEBUG="0")
        os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
        children.migrate()
        django.setup()
        stack.callback(connections.close_all)
        stack.callback(children.worker(folder).kill)
        from livedemo.outage import Outage

        return 0 if Outage().play() else 1


if __name__ == "__main__":
    sys.exit(main())
