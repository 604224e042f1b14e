"""What every test shares: one thread, reproducible hypothesis, no test code run by accident."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

# The workers of pytest-xdist share the cores. Set by environment rather than `torch.set_num_threads(1)`, this
# also reaches the processes that tests start, and imports torch for no test that can do without.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

# The same examples at every run: what is red here is red everywhere. `HYPOTHESIS_PROFILE=explore` looks for
# new ones.
settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Keep ``--doctest-modules``, which is meant for ``mase``, from importing plugins and helpers here."""
    is_helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if is_helper else None
