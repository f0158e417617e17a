"""What is said of reliability is what was measured."""

from . import report


def test_results_and_readme_are_written_by_the_script():
    assert report.stale() == []
