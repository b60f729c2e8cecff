"""Cell probability of a logit from a table, so that every device reads the same number.

The exponential functions of processors and GPUs differ in the last bit; in one voxel of a million
that turned a confidence of one byte into the next, and trajectories with it.
"""

import math

import numpy as np

#: Logits beyond it have the probability of the limit: 0.9997, which rounds to confidence 255.
LIMIT = 8.0
#: Steps of the table per unit of the logit: the error is at most a quarter of a confidence level.
PER_UNIT = 128.0
#: Probability of the logits -LIMIT, -LIMIT + 1 / PER_UNIT, ..., LIMIT; rounded to multiples of
#: 2**-20, so that the last bit of the system's own `exp` does not count either.
PROBABILITIES = np.array(
    [
        round(2**20 / (1 + math.exp(LIMIT - index / PER_UNIT))) / 2**20
        for index in range(int(2 * LIMIT * PER_UNIT) + 1)
    ],
    np.float32,
)
