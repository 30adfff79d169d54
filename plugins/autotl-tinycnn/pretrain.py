"""Makes autotl_tinycnn/tinycnn.safetensors: a classifier of eight drawn shapes, whatever colour, size and place.

python pretrain.py
"""

from __future__ import annotations

import numpy as np
import torch
from autotl_tinycnn import WEIGHTS
from autotl_tinycnn.net import TinyCNN
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

SHAPES = ("disc", "ring", "box", "triangle", "cross", "bar", "slope", "dots")
SIDE, BATCH, STEPS = 32, 128, 2000
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def draw(shape: str, random: np.random.Generator) -> np.ndarray:
    """Draw one image (32, 32, 3) uint8."""
    back, ink = random.integers(0, 256, 3), random.integers(0, 256, 3)
    while np.abs(back - ink).sum() < 120:
        ink = random.integers(0, 256, 3)
    image = Image.new("RGB", (SIDE, SIDE), tuple(back.tolist()))
    pen, colour = ImageDraw.Draw(image), tuple(ink.tolist())
    r = random.uniform(5, 12)
    x, y = random.uniform(r, SIDE - r, 2)
    thick = int(random.integers(2, 5))
    if shape == "disc":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif shape == "ring":
        pen.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=thick)
    elif shape == "box":
        pen.rectangle((x - r, y - r * random.uniform(0.6, 1), x + r, y + r), fill=colour)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
    elif shape == "cross":
        pen.line((x - r, y, x + r, y), fill=colour, width=thick)
        pen.line((x, y - r, x, y + r), fill=colour, width=thick)
    elif shape == "bar":
        pen.line(
            (x, y - r, x, y + r) if random.random() < 0.5 else (x - r, y, x + r, y), fill=colour, width=thick
        )
    elif shape == "slope":
        way = 1 if random.random() < 0.5 else -1
        pen.line((x - r, y - way * r, x + r, y + way * r), fill=colour, width=thick)
    else:
        for dx, dy in ((-0.7, -0.7), (0.7, -0.7), (-0.7, 0.7), (0.7, 0.7)):
            pen.ellipse((x + dx * r - 2, y + dy * r - 2, x + dx * r + 2, y + dy * r + 2), fill=colour)
    noisy = np.asarray(image) + random.normal(scale=random.uniform(0, 25), size=(SIDE, SIDE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def batch(random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    labels = random.integers(len(SHAPES), size=BATCH)
    images = np.stack([draw(SHAPES[label], random) for label in labels])
    pixels = (torch.from_numpy(images).float() / 255 - MEAN) / STD
    return pixels.permute(0, 3, 1, 2), torch.from_numpy(labels)


def main() -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    net = TinyCNN(len(SHAPES))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=STEPS)
    for step in range(STEPS):
        images, labels = batch(random)
        loss = cross_entropy(net(images), labels, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 250 == 0:
            print(step, round(loss.item(), 3))
    net.eval()
    with torch.no_grad():
        right = [
            float((net(images).argmax(1) == labels).float().mean())
            for images, labels in (batch(random) for _ in range(8))
        ]
    print("right:", np.mean(right))
    save_file(
        {name: t.half() if t.is_floating_point() else t for name, t in net.state_dict().items()}, str(WEIGHTS)
    )


if __name__ == "__main__":
    main()
