"""The load script, as `make test-all` runs it."""

import pytest
from load_space import IN_TIME, VISITORS, measure


@pytest.mark.slow
def test_everybody_at_once_get_notices_and_answers_in_order_and_memory_stays_bounded():
    """How fast the notices come is for the script to say, on a machine that does nothing else."""
    figures = measure()
    assert set(figures.missed) <= {IN_TIME}, figures
    assert len(figures.notices) == VISITORS
