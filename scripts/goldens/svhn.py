"""Makes test/fixtures/svhn and test/goldens/svhn.json: tiny files in SVHN's layout, and what scipy reads from them.

    python scripts/goldens/svhn.py        (needs scipy, numpy)

Labels follow torchvision's SVHN: 10 means the digit 0. Pixels are SHA-256 of [32, 32, 3] bytes.
"""
import hashlib
import json
import pathlib

import numpy as np
from scipy.io import loadmat, savemat

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures" / "svhn"
OUT = ROOT / "test" / "goldens" / "svhn.json"


def images(count, seed):
    """Smooth, so that packed files stay small; rows, columns, channels and images all differ."""
    row, column, channel, image = np.ogrid[0:32, 0:32, 0:3, 0:count]
    return ((3 * row + 5 * column + 70 * channel + 40 * image + seed) % 256).astype(np.uint8)


FIXTURES.mkdir(parents=True, exist_ok=True)
golden = {}
for name, count, labels, packed in [
    ("train_32x32.mat", 12, np.array([[1 + i % 10] for i in range(12)], np.uint8), True),
    # As MATLAB has it: doubles; two of them, so that scipy stores them in eight-byte words.
    ("test_32x32.mat", 2, np.array([[10.0], [3.0]]), False),
    # One to four bytes go into the short form of an element.
    ("extra_32x32.mat", 3, np.array([[7], [10], [2]], np.uint8), True),
]:
    savemat(FIXTURES / name, {"X": images(count, len(name)), "y": labels}, do_compression=packed)
    read = loadmat(FIXTURES / name)
    digits = read["y"].astype(int).squeeze()
    np.place(digits, digits == 10, 0)
    pixels = np.transpose(read["X"], (3, 0, 1, 2))
    golden[name] = {
        "labels": digits.tolist(),
        "pixels": [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in pixels],
    }
OUT.write_text(json.dumps(golden, indent=1) + "\n")
