"""What holds for every test: how much hypothesis tries, and that no test is skipped without anyone noticing."""

import os

import pytest
from hypothesis import HealthCheck, settings

import torchvision_support  # noqa: F401  (before any test imports torchvision)

# Derandomized: a run says the same twice. `HYPOTHESIS_PROFILE=soak` looks further, anew each time.
_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("ci", max_examples=60, stateful_step_count=30, derandomize=True, database=None, **_CALM)
settings.register_profile("soak", max_examples=2000, stateful_step_count=80, **_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# The tests that may be skipped, by a part of their id, and why. A skip that is not listed fails the run.
ALLOWED_SKIPS = {
    "test_feedback.py::TestAccelerator": "needs an accelerator",
    "test_torchdata.py": "needs torchdata",
    "test_trainers.py::TestLightning": "needs lightning",
    "test_trainers.py::TestAccelerate": "needs accelerate",
    "test_trainers.py::TestTransformers": "needs transformers",
    "test_bench_report.py::test_page_in_browser": "needs Chromium",
    "test_bench_images.py::test_local": "needs local copies of the data",
    "test_bench_regression.py::test_local": "needs local copies of the data",
    "test_bench_text.py::test_local": "needs local copies of the data",
    "test_bench_models.py::TestTorchvision": "needs torchvision",
}


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache of decoded data, and no folder of local copies but the one a test names."""
    monkeypatch.setenv("LEARN2MIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LEARN2MIX_DATA", raising=False)
    return tmp_path / "cache"


_unexpected: list[str] = []


def _note(report):
    allowed = any(part in report.nodeid for part in ALLOWED_SKIPS)
    if report.skipped and not hasattr(report, "wasxfail") and not allowed:
        _unexpected.append(report.nodeid)


def pytest_runtest_logreport(report):
    _note(report)


def pytest_collectreport(report):
    _note(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if _unexpected and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if _unexpected:
        terminalreporter.section("skipped, and not in ALLOWED_SKIPS of tests/conftest.py", red=True)
        for nodeid in _unexpected:
            terminalreporter.line(nodeid)
