"""Strategies that learn from images without a label, of the same domain or of another: each a value, with its source."""

from __future__ import annotations

from autotl.records import Phase, Strategy

_OBJECTIVES = "autotl.builtin.torch_.adaptation"


def _beside(name: str, summary: str, objective: str, *views: str, auxiliary: str | None = None) -> Strategy:
    """Return a fine-tuning whose objective gets views of images without a label beside the labelled ones."""
    phase = Phase(
        trains="k",
        objective=f"{_OBJECTIVES}:{objective}",
        unlabelled=views,
        auxiliary=None if auxiliary is None else f"{_OBJECTIVES}:{auxiliary}",
    )
    return Strategy(name=name, summary=summary, phases=(phase,), depths=True, proposed=False)


ADAPTATION = (
    Strategy(
        name="pseudo_labels",
        summary="frozen backbone, linear head on labels and on propagated ones (Iscen et al., CVPR 2019)",
        head="autotl.builtin.self_training:pseudo_labels",
        needs_unlabelled=True,
        proposed=False,  # no gain was measured on real images yet, and a loss where they are of another domain
    ),
    _beside(
        "fixmatch",
        "fine-tuning to answer strong views as it answers weak ones (Sohn et al., NeurIPS 2020)",
        "fix_match",
        "light",
        "strong",
    ),
    Strategy(
        name="adabn",
        summary="fine-tuning, then batch norm measured on the images without a label (Li et al., ICLR workshop 2017)",
        phases=(
            Phase(trains="k"),
            Phase(trains="none", norm="adapt", data="unlabelled", augment="none", share=0.1),
        ),
        depths=True,
        proposed=False,
    ),
    _beside(
        "coral",
        "fine-tuning to logits of the same covariance (Sun and Saenko, ECCV workshops 2016)",
        "correlation_alignment",
        "light",
    ),
    _beside(
        "dann",
        "fine-tuning against a classifier of domains (Ganin et al., JMLR 2016)",
        "domain_adversarial",
        "light",
        auxiliary="domain_classifier",
    ),
    _beside(
        "mcc",
        "fine-tuning to confuse few classes on the images without a label (Jin et al., ECCV 2020)",
        "least_confusion",
        "light",
    ),
)
