"""``python -m detkit``."""

import sys

from detkit.cli.main import main

sys.exit(main())
