"""``python -m mase.cli.ch``."""

import sys

from mase.cli.ch import main

sys.exit(main())
