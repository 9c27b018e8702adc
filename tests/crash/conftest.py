"""The module beside the tests can be imported; --import-mode=importlib adds nothing."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
