"""The benchmark of heads: made features in, a line a head out, and a table against the linear probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner

from benchmarks.heads import main


def test_heads_are_fitted_on_one_half_and_compared_on_the_other(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        labels = np.arange(120) % 3
        features = generator.normal(size=(120, 12)) + 2.0 * generator.normal(size=(3, 12))[labels]
        (tmp_path / name).mkdir()
        np.savez(
            tmp_path / name / "toy.npz",
            features=features.astype(np.float16),
            widths=np.array([4, 8]),
            labels=labels,
            group=np.arange(120) // 4,
        )
    out = tmp_path / "heads.csv"
    asked = ["measure", str(tmp_path), "--out", str(out), "--heads", "linear_probe,class_mean,best_layer"]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert done.exit_code == 0
    lines = pd.read_csv(out)
    assert len(lines) == 2 * 2 * 3 and lines["accuracy"].min() > 0.6
    assert set(lines["tested"]) == {60}
    before = out.read_bytes()
    assert CliRunner().invoke(main, asked).output == ""  # what is there is not measured again
    assert out.read_bytes() == before
    shown = CliRunner().invoke(main, ["table", str(out)], catch_exceptions=False).output
    assert "250 rows, 2 cells of 2 sets" in shown
    assert "`linear_probe`" in shown and "+0.0 [+0.0, +0.0]" in shown
