"""Language models on two ranks: what one rank does with the doubled batch, dead and masked weights included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

pytestmark = pytest.mark.mpi

JOB = """
kind = "training"
task = "language"
[data]
generator = "stories"
count = 200
context = 16
evaluation_samples = 32
[model]
width = 16
depth = 2
[train]
batch = 16
steps = 20
rate = 0.01
checkpoint_every = 10
[sweep]
zip = true
"model.mixing" = ["flat", "expanded", "side-by-side"]
"model.kernel" = [4, 1, 1]
"""


def test_two_ranks_do_what_one_does(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORSESHOE_DATA", str(tmp_path / "data"))
    path = Path("job.toml")
    path.write_text(JOB)
    for ranks, name in ((2, "two.zarr"), (None, "one.zarr")):
        done = engine.start(ranks, path, "--out", name)
        assert (done.returncode, done.stderr) == (0, "")
    one, two = (engine.numbers(Path(name)) for name in ("one.zarr", "two.zarr"))
    for name in ("loss", "evaluation_loss"):
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-5)
    assert (one["evaluation_loss"][:, -1] < 2.9).all()

    # Weights that no token uses have stayed where they began, on two ranks as on one.
    mine, its = (load(engine.weights(Path(name), 1)) for name in ("one.zarr", "two.zarr"))
    first = next(name for name in mine if name.endswith("first.weight") and mine[name].shape[:2] == (32, 16))
    np.testing.assert_array_equal(mine[first][16:], its[first][16:])
