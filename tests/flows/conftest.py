"""The synthetic tissue of the benchmarks is the ground truth of these tests too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
