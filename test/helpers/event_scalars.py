"""Prints, as JSON, the scalars that TensorBoard's own reader finds: {run: {tag: [[wall time, step, value], ...]}}.

Usage: python3 event_scalars.py LOG_FOLDER, with the package `tensorboard` on PYTHONPATH.
"""

import json
import os
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

log_folder = sys.argv[1]
found = {}
for run in sorted(os.listdir(log_folder)):
    accumulator = EventAccumulator(os.path.join(log_folder, run), size_guidance={"scalars": 0})
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    found[run] = {tag: [[e.wall_time, e.step, e.value] for e in accumulator.Scalars(tag)] for tag in tags}
print(json.dumps(found))
