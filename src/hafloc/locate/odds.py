"""From log-odds to chances, without scipy, which takes longer to load than an answer to judge."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def expit(log_odds: ArrayLike) -> NDArray[np.float64]:
    """The chances, in [0, 1], that log-odds of any shape stand for."""
    with np.errstate(over="ignore"):  # so far below 0 that the chance is 0
        return np.asarray(1 / (1 + np.exp(-np.asarray(log_odds, dtype=np.float64))))
