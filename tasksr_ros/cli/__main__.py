"""``python -m tasksr_ros.cli``."""

import sys

from tasksr_ros.cli.main import main

sys.exit(main())
