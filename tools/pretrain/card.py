"""A model card in plain words, from what the training wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_card(
    path: Path,
    entry: dict[str, Any],
    facts: dict[str, Any],
    last: dict[str, Any],
    teachers: list[dict[str, Any]],
) -> None:
    """Write the card of one backbone; `facts` is plan.json, `last` the last line of log.jsonl."""
    plan = facts["plan"]
    losses = [f"cross-entropy with labels smoothed by {plan['smoothing']} (weight {plan['label_weight']})"]
    if plan["feature_weight"]:
        losses.append(
            f"squared error to the teachers' standardised features (weight {plan['feature_weight']})"
        )
    if plan["logit_weight"]:
        losses.append(
            f"divergence from the teachers' 1000 outputs at temperature {plan['temperature']} "
            f"(weight {plan['logit_weight']})"
        )
    taught = (
        "; ".join(f"{one['name']} ({one['licence']}, {one['source']})" for one in teachers)
        if teachers
        else "none"
    )
    minutes = last["seconds"] / 60
    before = facts.get("started_after")
    rows = {
        "licence": f"{entry['licence']}; the weights are the project's own work",
        "trained on": f"Tiny ImageNet: {facts['images']:,} images of 64×64 pixels, 200 classes of ImageNet-1k. "
        "The images are not part of the project",
        "teachers": f"{taught}. Their weights are not part of the project",
        "loss": "; ".join(losses),
        "seen": "random windows with flips, changed in brightness, contrast, colour, sharpness and noise, "
        f"rendered at {facts['train_size']} pixels" + (f", mixup {plan['mixup']}" if plan["mixup"] else ""),
        "optimizer": f"AdamW, batch {plan['batch']}, weight decay {plan['weight_decay']}, warm-up and cosine, "
        f"running average of weights ({plan['averaging']}), "
        + ("bfloat16 autocast" if facts["bf16"] else "float32"),
        "length": f"{last['step']:,} steps, {last['epoch']} epochs, {minutes:.0f} minutes of wall time on a shared "
        f"machine, seed {plan['seed']}"
        + (
            f"; before that {before['epoch']} epochs in {before['seconds'] / 60:.0f} minutes with "
            + (", ".join(facts["started_from"]["teachers"]) or "no teacher")
            if before
            else ""
        ),
        "batch norm": entry["batch_norm"],
        "machine": f"{facts['machine']}; reference step (`tools/pretrain/machine.py`) "
        f"{facts['reference_step_seconds'] * 1000:.1f} ms",
        "reaches": f"{entry['tiny_imagenet_val_top1']}% of Tiny ImageNet validation at {entry['input_size']} "
        "pixels, with its own head and the weights as shipped",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    path.write_text(
        f"""# {entry["name"]}

A {entry["family"]}: timm's `{entry["arch"]}` with {entry["kwargs"]}.
{entry["body_params"]:,} parameters without the head, {entry["feature_dim"]} features,
{entry["macs"] / 1e6:.1f} million multiply-accumulates an image at {entry["input_size"]} pixels,
{entry["bytes"] / 1e6:.2f} MB.

| | |
| --- | --- |
{table}

**Good for** a first answer with no connection: embedding a thousand images in seconds, and a start for
fine-tuning when nothing larger is at hand.

**Not good for** fine detail (it has seen nothing sharper than 64 pixels), for text, or as a measure of what
a full-size backbone would reach. It has inherited what Tiny ImageNet shows of the world: objects and animals
in web photographs, and the biases of that collection. Medical, legal or safety decisions need data and tests
of their own.
"""
    )
