"""Run pytest; fail if a test failed, and also if not one test passed.

pytest itself succeeds when every test was skipped, which would hide a broken set-up.
"""

import sys

import pytest


class PassedCount:
    """Count the tests that passed."""

    def __init__(self) -> None:
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one report."""
        if report.when == "call" and report.passed:
            self.passed += 1


def main(arguments: list[str]) -> int:
    """Run the tests and return the exit status."""
    count = PassedCount()
    status = int(pytest.main(arguments, plugins=[count]))
    if status == 0 and count.passed == 0:
        print("No test ran: every one of them was skipped.", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
