"""Fine-tunings that are tried where they are asked for by name: each a value, with its source."""

from __future__ import annotations

from autotl.records import Phase, Strategy

_OBJECTIVES = "autotl.builtin.torch_.objectives"
_SELECTORS = "autotl.builtin.torch_.selectors"
_MIXING = "autotl.builtin.torch_.mixing"
_ADAPTERS = "autotl.builtin.torch_.adapters"
_AUGMENTATIONS = "autotl.builtin.torch_.augmentations"
_SAMPLERS = "autotl.builtin.samplers"
_SELF_SUPERVISION = "autotl.builtin.torch_.self_supervision"


def _fine_tuning(name: str, summary: str, phase: Phase) -> Strategy:
    """Return a fine-tuning whose one phase differs from the usual one."""
    return Strategy(name=name, summary=summary, phases=(phase,), depths=phase.trains == "k", proposed=False)


# Which parameters train, and when.
DEPTHS = (
    Strategy(
        name="gradual_unfreezing",
        summary="the head, then one layer group after another from the last (Howard and Ruder, ACL 2018)",
        phases=(
            Phase(trains="head", share=0.2),
            Phase(trains=1, share=0.2),
            Phase(trains=2, share=0.2),
            Phase(trains="all", share=0.4),
        ),
        proposed=False,
    ),
    _fine_tuning(
        "one_rate",
        "fine-tuning with the same learning rate for every layer group",
        Phase(trains="k", layer_decay=1.0, lr=5e-4),
    ),
    _fine_tuning(
        "surgical_first",
        "head and the first layer group alone (Lee et al., ICLR 2023)",
        Phase(trains=f"{_SELECTORS}:first_group", layer_decay=1.0),
    ),
    _fine_tuning(
        "surgical_middle",
        "head and the layer group in the middle alone (Lee et al., ICLR 2023)",
        Phase(trains=f"{_SELECTORS}:middle_group", layer_decay=1.0),
    ),
    _fine_tuning(
        "norm_only",
        "head and the scales and shifts of normalisations alone (Frankle et al., ICLR 2021)",
        Phase(trains=f"{_SELECTORS}:norms", layer_decay=1.0),
    ),
    _fine_tuning(
        "bias_only",
        "head and biases alone (Ben Zaken et al., ACL 2022)",
        Phase(trains=f"{_SELECTORS}:biases", layer_decay=1.0),
    ),
    Strategy(
        name="lora",
        summary="head and low-rank adapters of a transformer's attention alone (Hu et al., ICLR 2022)",
        prepare=f"{_ADAPTERS}:low_rank",
        worth="autotl.builtin.worth:with_peft",
        phases=(Phase(trains=f"{_ADAPTERS}:of_low_rank", layer_decay=1.0),),
        proposed=False,
    ),
)
# For few labels: penalties that keep a fine-tuning near the pretrained weights, and stronger augmentation.
FEW_LABELS = (
    _fine_tuning(
        "l2_sp",
        "fine-tuning with a penalty on the distance from the pretrained weights (Li et al., ICML 2018)",
        Phase(trains="k", weight_decay=0.0, objective=f"{_OBJECTIVES}:l2_sp"),
    ),
    _fine_tuning(
        "bss",
        "fine-tuning with batch spectral shrinkage of the features (Chen et al., NeurIPS 2019)",
        Phase(trains="k", objective=f"{_OBJECTIVES}:batch_spectral_shrinkage"),
    ),
    _fine_tuning(
        "label_smoothing",
        "fine-tuning with labels smoothed by 0.1 (Szegedy et al., CVPR 2016)",
        Phase(trains="k", objective=f"{_OBJECTIVES}:label_smoothed"),
    ),
    _fine_tuning(
        "mixup",
        "fine-tuning on weighted means of two images (Zhang et al., ICLR 2018)",
        Phase(trains="k", mix=f"{_MIXING}:mixup"),
    ),
    _fine_tuning(
        "cutmix",
        "fine-tuning on images with a rectangle of another (Yun et al., ICCV 2019)",
        Phase(trains="k", mix=f"{_MIXING}:cutmix"),
    ),
    _fine_tuning(
        "trivial_augment",
        "fine-tuning with one random operation on each image (Müller and Hutter, ICCV 2021)",
        Phase(trains="k", augment=f"{_AUGMENTATIONS}:trivial_augment"),
    ),
    _fine_tuning(
        "rand_augment",
        "fine-tuning with two random operations on each image (Cubuk et al., NeurIPS 2020)",
        Phase(trains="k", augment=f"{_AUGMENTATIONS}:rand_augment"),
    ),
    _fine_tuning(
        "averaged",
        "fine-tuning that ends with a moving average of its weights (Polyak and Juditsky, 1992)",
        Phase(trains="k", average=0.99),
    ),
)
# For classes of unequal size. Where the metric weighs classes alike, the usual fine-tuning draws them alike, too.
IMBALANCE = (
    _fine_tuning(
        "balanced_sampling",
        "fine-tuning on as many images of every class (Kang et al., ICLR 2020)",
        Phase(trains="k", sampler=f"{_SAMPLERS}:balanced"),
    ),
    _fine_tuning(
        "logit_adjustment",
        "fine-tuning with logits adjusted by the classes' shares (Menon et al., ICLR 2021)",
        Phase(trains="k", sampler=f"{_SAMPLERS}:natural", objective=f"{_OBJECTIVES}:logit_adjusted"),
    ),
    _fine_tuning(
        "focal_loss",
        "fine-tuning with the focal loss (Lin et al., ICCV 2017)",
        Phase(trains="k", sampler=f"{_SAMPLERS}:natural", objective=f"{_OBJECTIVES}:focal"),
    ),
)
# Of trials that are finished: nothing trains.
COMBINED = (
    Strategy(
        name="soup",
        summary="mean of the weights of the run's own fine-tunings of a backbone (Wortsman et al., ICML 2022)",
        combine="autotl.builtin.combining:soup",
        parents=("fine_tune",),
        proposed=False,
    ),
    Strategy(
        name="wise_ft",
        summary="weights between the frozen backbone's and the best fine-tuned ones (Wortsman et al., CVPR 2022)",
        combine="autotl.builtin.combining:between",
        parents=("linear_probe", "fine_tune"),
        proposed=False,
    ),
)
# Before the labels: the images alone, those of --unlabelled too.
SELF_SUPERVISED = (
    Strategy(
        name="rotation",
        summary="telling how images were turned, then fine-tuning (Gidaris et al., ICLR 2018)",
        phases=(
            Phase(
                trains="k",
                lr=1e-3,
                share=0.3,
                data="all",
                unlabelled=(
                    "light",
                    f"{_SELF_SUPERVISION}:quarter_turn",
                    f"{_SELF_SUPERVISION}:half_turn",
                    f"{_SELF_SUPERVISION}:three_quarter_turn",
                ),
                auxiliary=f"{_SELF_SUPERVISION}:turn_classifier",
                objective=f"{_SELF_SUPERVISION}:turned",
            ),
            Phase(trains="k", share=0.7),
        ),
        depths=True,
        proposed=False,
    ),
)
# Trained after the search, with the winner as the teacher: see `autotl.stages.distil`.
DISTILLED = Strategy(
    name="distilled",
    summary="fine-tuning on the winner's predictions beside the labels (Hinton et al., 2015)",
    phases=(Phase(trains="k", objective=f"{_OBJECTIVES}:soft_targets"),),
    depths=True,
    parents=("*",),
    worth="autotl.builtin.worth:with_teacher",
    proposed=False,
)
FINE_TUNING = (*DEPTHS, *FEW_LABELS, *IMBALANCE, *COMBINED, *SELF_SUPERVISED, DISTILLED)
