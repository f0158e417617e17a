"""Keeps the books of chance: what all sampling tests together may cost in false alarms."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # toys are slower on two threads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

FALSE_ALARMS = 1e-6


def pytest_collection_modifyitems(items):
    rates = []
    for item in items:
        marker = item.get_closest_marker("statistical")
        if marker is not None:
            if set(marker.kwargs) != {"rate", "detects"} or not marker.kwargs["detects"]:
                raise pytest.UsageError(f"{item.nodeid}: statistical(rate=..., detects=...) needs both")
            rates.append(marker.kwargs["rate"])
    if sum(rates) > FALSE_ALARMS:
        raise pytest.UsageError(f"the suite's false-failure rate is {sum(rates):.2g}, above {FALSE_ALARMS:.0e}")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)
