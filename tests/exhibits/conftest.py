"""What a figure shows, read back from its axes."""

import pytest


@pytest.fixture(scope="session")
def drawn():
    """Points of every series of dots or lines by its label, (x, y) each: drawn(axes); the ends of error bars left out.

    Labels that begin with "_" would be matplotlib's own, so that a series without a name is found as a failure.
    """

    def found(axes):
        series = [(c.get_label(), c[0].get_xydata().tolist()) for c in axes.containers if hasattr(c, "has_yerr")]
        assert len(dict(series)) == len(series)
        return dict(series)

    return found
