"""What fits and measures the classifiers of typed text; fit_*.py and measure_checks.py are the commands."""

import sys
from pathlib import Path

import scipy.linalg  # noqa: F401  loads the BLAS that is limited below
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "space"))  # the folder's modules import each other by their plain names

# With several threads sums are rounded in another order, and a fit gives other bytes.
threadpool_limits(1)
