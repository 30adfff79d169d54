"""Names of the classes as a head: by a stand-in for a text tower, and by a tiny open_clip model on the disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from safetensors.torch import save_file
from test_trial import attempt, session, started

from autotl.builtin.backbones import discover
from autotl.builtin.strategies import TEXT
from autotl.engine import model
from autotl.engine.backbone import build
from autotl.engine.session import Data, Session
from autotl.errors import Declined, EngineError, WeightsUnavailable
from autotl.records import Candidate, Trial, Weights

ZERO_SHOT, ZERO_SHOT_FT = TEXT
ASKED: list[tuple[str, ...]] = []


def by_name(
    arguments: dict[str, Any], state: dict[str, Any], classes: tuple[str, ...]
) -> tuple[np.ndarray, float]:
    """A text tower to which the second class is what every image looks like."""
    ASKED.append(tuple(classes))
    text = np.zeros((len(classes), 16), np.float32)
    text[1] = 0.25
    return text, 10.0


@pytest.fixture
def reads_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "toy.safetensors"
    save_file(toy.Net().state_dict(), file)
    weights = Weights(kind="file", location=str(file))
    spec = toy.spec(text=f"{__name__}:by_name", weights=weights)
    monkeypatch.setattr(toy, "spec", lambda *_, **__: spec)
    monkeypatch.setattr("autotl.engine.model.require_installed", lambda *_: None)
    ASKED.clear()


@pytest.mark.usefixtures("reads_text")
def test_the_names_of_the_classes_decide_and_not_the_labels(tmp_path: Path) -> None:
    result = attempt(tmp_path, ZERO_SHOT)
    assert result.status == "finished", result.error
    assert ASKED == [("a", "b", "c")]
    with np.load(tmp_path / str(result.predictions)) as stored:
        assert set(stored["proba"].argmax(1)) == {1}
    network, description = model.load(tmp_path / str(result.model))
    assert description.head == "linear"
    assert network.head.weight.abs().sum(1).nonzero().flatten().tolist() == [1]


@pytest.mark.usefixtures("reads_text")
def test_a_fine_tuning_begins_with_the_names(tmp_path: Path) -> None:
    """After next to no step the network answers as the names do; after more of them as the labels say."""
    few = attempt(tmp_path / "few", ZERO_SHOT_FT, epochs=0.3)
    with np.load(tmp_path / "few" / str(few.predictions)) as stored:
        assert (stored["proba"].argmax(1) == 1).mean() > 0.9
    assert ASKED == [("a", "b", "c")]


def test_a_backbone_without_a_text_tower_is_declined_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(Declined, match="'toy' has no text tower"):
        attempt(tmp_path, ZERO_SHOT)


def test_text_features_of_another_width_are_refused(
    reads_text: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.by_name", lambda *_: (np.zeros((3, 5), np.float32), 1.0))
    with pytest.raises(EngineError, match=r"shape \(3, 5\); expected \(3, 16\)"):
        attempt(tmp_path, ZERO_SHOT)


# --------------------------------------------------------------------------- open_clip

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with a checkpoint of a tiny model of random weights, as a user would have one, and the model."""
    open_clip = pytest.importorskip("open_clip", reason="needs the extra autotl[clip]")
    folder = tmp_path_factory.mktemp("clip")
    (folder / "autotl-tiny.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder / "autotl-tiny.json")
    (folder / "autotl-tiny.json").unlink()
    torch.manual_seed(0)
    whole = open_clip.create_model("autotl-tiny").eval()
    save_file(whole.state_dict(), folder / "tiny.safetensors")
    entry = {
        "name": "tiny_clip", "file": "tiny.safetensors", "library": "open_clip", "arch": "autotl-tiny",
        "input_size": 32, "kwargs": {"templates": ["a drawing of {}", "{}"]},
    }  # fmt: skip
    (folder / "index.json").write_text(json.dumps([entry]))
    return folder, whole


def test_the_image_tower_of_a_checkpoint_is_a_backbone(clip: tuple[Path, Any]) -> None:
    folder, whole = clip
    (spec,), skipped = discover(folder)
    assert not skipped
    backbone = build(spec)
    images = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images), whole.encode_image(images), rtol=1e-4, atol=1e-5)
    assert backbone.feature_dim == 24
    assert len(backbone.groups) >= 2
    assert not any("token_embedding" in name for name in backbone.state_dict())


def test_zero_shot_answers_as_open_clip_does(clip: tuple[Path, Any], tmp_path: Path) -> None:
    import open_clip

    folder, whole = clip
    (spec,), _ = discover(folder)
    made = _session(tmp_path)
    from autotl.engine import trial

    asked = Trial(
        id="t0", candidate=Candidate(backbone=spec.name, input_size=32, strategy="zero_shot"), keep_model=True
    )
    result = trial.run(made, asked, spec, ZERO_SHOT, _allowance())
    assert result.status == "finished", result.error
    with np.load(tmp_path / str(result.predictions)) as stored:
        rows, proba = stored["rows"], stored["proba"]
    network, description = model.load(tmp_path / str(result.model))
    squares = made.data.squares.get(rows, 32, description.backbone.preprocess)
    from autotl.engine.images import to_input

    batch = to_input(squares, 32, description.backbone.preprocess, torch.device("cpu"))
    templates = ["a drawing of {}", "{}"]
    with torch.inference_mode():
        classifier = open_clip.build_zero_shot_classifier(
            whole, open_clip.get_tokenizer("autotl-tiny"), ["red stripe", "b{x}", "c"], templates
        )
        cosines = whole.encode_image(batch, normalize=True) @ classifier
        np.testing.assert_array_equal(network(batch).argmax(1), cosines.argmax(1))
    assert (
        proba.argmax(1) == cosines.argmax(1).numpy()
    ).mean() > 0.9  # features are stored in half precision


def test_a_checkpoint_of_another_model_and_a_bad_template_are_named(
    clip: tuple[Path, Any], tmp_path: Path
) -> None:
    from autotl.builtin.torch_ import open_clip_models

    (spec,), _ = discover(clip[0])
    with pytest.raises(EngineError, match="both towers"):
        open_clip_models.text_features({"name": "autotl-tiny"}, {}, ("a",))
    with pytest.raises(EngineError, match="for the name of the class"):
        open_clip_models.text_features({"name": "autotl-tiny", "templates": ["a photo"]}, {}, ("a",))
    save_file({"other": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsUnavailable, match="do not fit"):
        build(replace(spec, weights=Weights(kind="file", location=str(tmp_path / "x.safetensors"))))


def test_without_the_extra_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from autotl.builtin.torch_ import open_clip_models

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(EngineError, match=r"autotl\[clip\]"):
        open_clip_models.image_tower("ViT-B-32")


def _session(folder: Path) -> Session:
    data = session(folder).data
    made = started(folder)
    columns = replace(data.columns, classes=("red_stripe", "b{x}", "c"))
    made.open(Data(columns=columns, digests=data.digests, metric=data.metric, squares=data.squares))
    return made


def _allowance() -> Any:
    from autotl.budget import Allowance

    return Allowance(deadline=float("inf"))
