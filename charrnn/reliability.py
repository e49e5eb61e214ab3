"""Whether a model is as sure as it is right: its confidence against its accuracy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10


class Reliability:
    """Adds up first guesses by how sure the model is of them, in bins of equal width.

    The expected calibration error is that of Guo, Pleiss, Sun and Weinberger (2017), On
    Calibration of Modern Neural Networks, eq. 3: over the bins, the distance between the
    mean confidence and the share that is right, weighted by the characters in the bin.
    """

    def __init__(self) -> None:
        self._sums = np.zeros((3, BINS))  # characters, their confidence, those that were right

    def add(self, confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> None:
        """Count M first guesses: how likely each was held to be, and whether it was right."""
        # A bin takes what is above its lower bound, so that 1 is in the last one.
        bins = np.ceil(confidence * BINS).astype(np.intp) - 1
        bins = bins.clip(0, BINS - 1)
        for sums, weights in zip(self._sums, (None, confidence, right), strict=True):
            sums += np.bincount(bins, weights, BINS)

    def to_json(self) -> dict[str, Any]:
        """The `error`, how much `too_sure` the model is on average, and the bins in use."""
        total = max(1.0, self._sums[0].sum())
        surplus = self._sums[1] - self._sums[2]
        return {
            "error": float(np.abs(surplus).sum() / total),
            "too_sure": float(surplus.sum() / total),
            "bins": [
                {
                    "from": number / BINS,
                    "to": (number + 1) / BINS,
                    "characters": int(count),
                    "share": count / total,
                    "confidence": confidence / count,
                    "accuracy": right / count,
                }
                for number, (count, confidence, right) in enumerate(self._sums.T.tolist())
                if count
            ],
        }
