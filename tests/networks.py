"""Files of networks that enlarge, as small as they can be, for tests that never look inside."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def compact(file: Path, scale: int = 2, features: int = 4, layers: int = 1) -> Path:
    """Its own picture twice as large is all that this one gives: its weights are nothing."""
    sides = [(features, 3), *[(features, features)] * layers, (3 * scale**2, features)]
    weights = {}
    for number, (made, seen) in enumerate(sides):
        weights[f"body.{2 * number}.weight"] = np.zeros((made, seen, 3, 3), np.float32)
        weights[f"body.{2 * number}.bias"] = np.zeros(made, np.float32)
        if number <= layers:
            weights[f"body.{2 * number + 1}.weight"] = np.zeros(made, np.float32)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, file)
    return file
