"""TransferClassifier in scikit-learn's hands: its own checks where they can apply, and ours where they cannot."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import autotl
from autotl import predict, sklearn
from autotl.errors import DatasetError

# Of scikit-learn's checks, those that ask nothing of X.
APPLY = frozenset(
    {
        "check_do_not_raise_errors_in_init_or_set_param",
        "check_estimator_cloneable",
        "check_estimator_get_tags_default_keys",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    }
)


def stack(each: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Dark and light images, (n, 32, 32, 3) uint8, and their labels as text."""
    generator = np.random.default_rng(seed)
    shades = np.repeat([60, 190], each)
    images = generator.normal(shades[:, None, None, None], 25, (2 * each, 32, 32, 3))
    return images.clip(0, 255).astype(np.uint8), np.repeat(["dark", "light"], each)


def quick(**more: Any) -> autotl.TransferClassifier:
    """The smallest search there is: one backbone, one closed-form head."""
    given: dict[str, Any] = {
        "budget": "90s",
        "backbones": "autotl:mobilenet*",
        "strategies": "linear_probe",
        "offline": True,
    }
    return autotl.TransferClassifier(**given | more)


@pytest.fixture(scope="module")
def fitted() -> autotl.TransferClassifier:
    return quick().fit(*stack())


@pytest.fixture(scope="module")
def shares(fitted: autotl.TransferClassifier) -> np.ndarray:
    """Its probabilities of twelve new images; each prediction starts a process, so tests share them."""
    return fitted.predict_proba(stack(6, seed=1)[0])


@pytest.mark.parametrize("estimator", [autotl.TransferClassifier, autotl.TransferRegressor])
@pytest.mark.parametrize("name", sorted(APPLY))
def test_scikit_learns_checks(name: str, estimator: type[Any]) -> None:
    """Those that ask nothing of X; the others fit on tables of numbers (n, d), which are no images."""
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip(f"this scikit-learn has no {name}")
    check(estimator.__name__, estimator())


# --------------------------------------------------------------------------- numbers and several labels, without a worker


class Answered:
    """Stands in for a run and its model: keeps what was fitted, and answers by the mean of an image."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.options: dict[str, Any] = {}
        self.labels: list[str] = []
        monkeypatch.setattr(sklearn, "recommend", self.recommend)
        monkeypatch.setattr(sklearn.autotl_predict, "predictions", self.predictions)

    def recommend(self, source: Path, budget: object, **options: Any) -> Any:
        self.options = options
        with source.open(newline="") as file:
            self.labels = [row["label"] for row in csv.DictReader(file)]
        (options["out"] / "model").mkdir(parents=True)
        return SimpleNamespace(recommendation="", result=SimpleNamespace(winner=None), path=options["out"])

    def predictions(self, _folder: Path, images: list[Any], **_: Any) -> list[predict.Prediction]:
        answers = []
        for number, image in enumerate(images):
            share = float(np.mean(image)) / 255
            if self.options["target"] == "regression":
                answers.append(
                    predict.Prediction(str(number), (), value=share, low=share - 1, high=share + 1)
                )
            else:
                top = (("0", share), ("1", 1 - share))
                own = ("0",) if share > 0.5 else ("0", "1")
                answers.append(predict.Prediction(str(number), top, labels=own))
        return answers


def test_a_regressor_passes_numbers_on_and_scores_by_r2(monkeypatch: pytest.MonkeyPatch) -> None:
    images, numbers = stack(4)[0], np.linspace(0.1, 0.9, 8)
    stands_in = Answered(monkeypatch)
    fitted = autotl.TransferRegressor(metric="mae").fit(images, numbers)
    assert stands_in.options["target"] == "regression" and stands_in.options["metric"] == "mae"
    assert [float(label) for label in stands_in.labels] == numbers.tolist()
    assert fitted.predict(images) == pytest.approx(images.mean((1, 2, 3)) / 255)
    assert fitted.predict_interval(images).shape == (8, 2)
    assert fitted.score(images, images.mean((1, 2, 3)) / 255) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="finite numbers"):
        fitted.fit(images, np.full(8, np.nan))
    with pytest.raises(ValueError, match="8 images"):
        fitted.fit(images, numbers[:4])


def test_several_labels_have_the_form_of_y(monkeypatch: pytest.MonkeyPatch) -> None:
    images = stack(4)[0]
    table = np.array([[1, 1]] * 4 + [[1, 0]] * 4)
    stands_in = Answered(monkeypatch)
    fitted = autotl.TransferClassifier().fit(images, table)
    assert stands_in.options["target"] == "multilabel" and stands_in.labels[0] == '["0", "1"]'
    assert fitted.predict(images).tolist() == table.tolist()
    assert fitted.predict_proba(images).shape == (8, 2)
    assert fitted.score(images, table) == 1.0
    fitted.fit(images, [["dark", "small"]] * 4 + [["dark"]] * 4)
    assert fitted.classes_.tolist() == ["dark", "small"]
    assert fitted.predict(images)[0] == ("dark", "small") and fitted.predict(images)[7] == ("dark",)
    assert fitted.score(images, [["small", "dark"]] * 4 + [[]] * 4) == 0.5
    assert fitted.score(images[3:5], [["dark", "small"], []], sample_weight=[3, 1]) == 0.75
    with pytest.raises(ValueError, match="no image has label"):
        fitted.fit(images, np.array([[1, 0]] * 8))


# --------------------------------------------------------------------------- without a fit


def test_clone_and_params() -> None:
    made = quick(budget=30, random_state=3)
    again = clone(made)
    assert again.get_params() == made.get_params()
    assert again.set_params(budget="5m").budget == "5m"
    with pytest.raises(ValueError, match="budgets"):
        again.set_params(budgets=1)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_not_fitted(method: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(quick(), method)(stack()[0])


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (np.zeros((4, 5)), [0, 1, 0, 1], "not a list of images"),
        ("photo.jpg", [0], "not a list of images"),
        (stack()[0], [0, 1], "one label for each image"),
        (stack()[0], np.linspace(0, 1, 48), "Unknown label type"),
    ],
)
def test_what_cannot_be_fitted_says_so(X: Any, y: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        quick().fit(X, y)


def test_a_folder_is_not_one_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    (tmp_path / "y.png").touch()
    with pytest.raises(ValueError, match="because a folder or a CSV holds several"):
        quick().fit([str(tmp_path)], ["a"])


def test_progress_is_that_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def recommend(*_: Any, progress: bool, **__: Any) -> None:
        asked.append(progress)
        raise autotl.AutotlError("enough")

    monkeypatch.setattr("autotl.sklearn.recommend", recommend)
    for estimator in (quick(), quick(progress=True)):
        with pytest.raises(autotl.AutotlError, match="enough"):
            estimator.fit(*stack())
    assert asked == [False, True]


# --------------------------------------------------------------------------- with one


@pytest.mark.slow
def test_it_learns_and_its_answers_agree(fitted: autotl.TransferClassifier, shares: np.ndarray) -> None:
    images, labels = stack(6, seed=1)
    assert fitted.classes_.tolist() == ["dark", "light"]
    np.testing.assert_allclose(shares.sum(1), 1)
    assert fitted.predict(images).tolist() == fitted.classes_[shares.argmax(1)].tolist()
    assert fitted.score(images, labels) > 0.9
    assert fitted.candidate_.startswith("autotl:mobilenetv3")
    assert fitted.recommendation_.startswith("Use ")


@pytest.mark.slow
def test_paths_and_pil_images_are_answered_as_arrays_are(
    fitted: autotl.TransferClassifier, shares: np.ndarray, tmp_path: Path
) -> None:
    images, _ = stack(6, seed=1)
    given = [Image.fromarray(image) for image in images]
    for number, image in enumerate(given):
        image.save(tmp_path / f"{number}.png")
    paths = [str(tmp_path / f"{number}.png") for number in range(12)]
    np.testing.assert_allclose(fitted.predict_proba(given + paths), np.tile(shares, (2, 1)), atol=1e-6)
    with pytest.raises(DatasetError, match="no such file"):
        fitted.predict([str(tmp_path / "gone.png")])


@pytest.mark.slow
def test_it_is_pickled_with_its_model(fitted: autotl.TransferClassifier, shares: np.ndarray) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(stack(6, seed=1)[0]), shares)


@pytest.mark.slow
def test_one_seed_gives_one_model(fitted: autotl.TransferClassifier, shares: np.ndarray) -> None:
    again = clone(fitted).fit(*stack())
    np.testing.assert_array_equal(again.predict_proba(stack(6, seed=1)[0]), shares)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pipeline_cross_validation_and_grid_search(tmp_path: Path) -> None:
    images, labels = stack(12)
    upright = FunctionTransformer(lambda X: X[:, ::-1])
    search = GridSearchCV(
        Pipeline([("flip", upright), ("classify", quick())]),
        {"classify__budget": ["30s"]},
        cv=StratifiedKFold(2),
        refit=False,
    )
    search.fit(images, labels)
    assert (search.cv_results_["mean_test_score"] > 0.8).all()
