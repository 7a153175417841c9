"""What fits and measures the classifiers of typed text; fit_notices.py and fit_languages.py are the commands."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "space"))  # the folder's modules import each other by their plain names
