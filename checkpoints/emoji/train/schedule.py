"""A learning rate that follows the clock: the run ends at the minute asked for, whatever else the machine is doing.

The file `deadline` in the output folder (Unix seconds) may be edited while the run goes on.
"""

import math
import time
from pathlib import Path


class Clock:
    def __init__(self, folder, minutes):
        self.file = Path(folder) / "deadline"
        self.start = time.time()
        self.file.write_text(str(self.start + 60 * minutes))

    def progress(self):
        return min(1.0, (time.time() - self.start) / (float(self.file.read_text()) - self.start))

    def rate(self, peak, step, warmup=200):
        return peak * min(1.0, (step + 1) / warmup) * (0.5 + 0.5 * math.cos(math.pi * self.progress()))
