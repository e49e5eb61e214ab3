"""When training has gone wrong: a loss far off its own recent past."""

import math
from dataclasses import dataclass

MOST_RETRIES = 4
"""How often a run goes back to its last good state before it gives up."""

LOWERING = 1 / 3
"""What the learning rate is multiplied by each time."""

PATIENCE = 20
"""Steps in a row whose loss is far off before that is called divergence."""

FAR_OFF = 1.0
"""Nats per character above the level."""

FALL, RISE = 50, 500
"""About how many steps the level takes to follow the loss down, and up."""


@dataclass
class Watch:
    """What has been seen of the losses, in nats per character."""

    level: float = 0.0
    """a running mean that a slow rise does not take along, without what was far off"""
    count: int = 0
    """losses in it"""
    far_off: int = 0
    """steps in a row, up to the last one, whose loss was far off"""

    def diverges(self, loss: float, uniform: float) -> bool:
        """Take in one more step's loss; whether training has diverged.

        A loss is far off above the level and above `uniform`, that of guessing evenly
        among all characters: a text that changes its nature costs less than that.
        """
        if not math.isfinite(loss):
            return True
        if self.count and loss > max(uniform, self.level + FAR_OFF):
            self.far_off += 1
            return self.far_off >= PATIENCE
        self.far_off = 0
        self.count += 1
        pace = FALL if loss < self.level else RISE
        self.level += (loss - self.level) / min(self.count, pace)
        return False
