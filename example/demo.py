#!/usr/bin/env python
"""The shop, live: one command that shows jobs moving and closes with an account. README.md tells the rest."""

import sys

from livedemo.run import main

if __name__ == "__main__":
    sys.exit(main())
