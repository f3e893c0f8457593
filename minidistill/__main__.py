"""`python -m minidistill`: the same as the command `minidistill`."""

import sys

from minidistill.cli import main

if __name__ == "__main__":
    sys.exit(main())
