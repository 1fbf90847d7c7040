"""Draws recorded scans as pictures in many looks, sizes and formats, and writes the numbers that each picture shows.

python benchmarks/pictures/draw.py FOLDER [--each 12]
"""

from __future__ import annotations

import argparse
import io
import json
import random
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from looks import LOOKS, SET_ASIDE
from PIL import Image, ImageDraw, ImageFont

from keras_lrscan import LRCurve

RECORDED = Path(__file__).parents[2] / "docs" / "curves"
MIN_POINTS = 40
MIN_DRAWN = 20
WORDS = (
    "In [12]:",
    "learner.lr_plot()",
    "model.fit(x, y, callbacks=[finder])",
    "The loss falls from here on.",
    "Out[12]:",
)


def scans() -> dict[str, LRCurve]:
    found = {path.stem: LRCurve.from_json(path) for path in sorted(RECORDED.glob("*.json"))}
    return {name: curve for name, curve in found.items() if np.isfinite(curve.loss).sum() >= MIN_POINTS}


def rendered(figure: Any, chance: random.Random) -> tuple[Image.Image, dict[str, Any]]:
    """Returns the picture of a figure at a drawn resolution, and how it was made."""
    how: dict[str, Any] = {"dpi": chance.choice([72, 80, 100, 100, 120, 150, 200]), "tight": chance.random() < 0.7}
    data = io.BytesIO()
    style = {"bbox_inches": "tight"} if how["tight"] else {}
    figure.savefig(data, dpi=how["dpi"], facecolor=figure.get_facecolor(), **style)
    image = Image.open(data).convert("RGB")
    how["scale"] = chance.choice([1.0, 1.0, 1.0, 0.8, 1.25, 1.5])
    if how["scale"] != 1:
        size = [round(side * how["scale"]) for side in image.size]
        image = image.resize((size[0], size[1]), chance.choice([Image.Resampling.BILINEAR, Image.Resampling.LANCZOS]))
    how["notebook"] = chance.random() < 0.35
    if how["notebook"]:
        image = in_notebook(image, chance)
    how["format"] = chance.choice(["png", "png", "jpeg"])
    how["quality"] = chance.choice([60, 75, 85, 95])
    return image, how


def in_notebook(image: Image.Image, chance: random.Random) -> Image.Image:
    """Returns the picture with a part of a notebook around it, as a screenshot has it."""
    dark = sum(image.getpixel((2, 2))) < 300
    paper, ink, box = ((17, 17, 17), (220, 220, 220), (45, 45, 45)) if dark else ((255,) * 3, (30, 30, 30), (247,) * 3)
    left, top, right, bottom = (chance.randint(*ends) for ends in ((20, 110), (50, 120), (5, 60), (5, 50)))
    page = Image.new("RGB", (image.width + left + right, image.height + top + bottom), paper)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    draw.rectangle([left - 10, 6, page.width - 8, 36], fill=box, outline=(207, 207, 207))
    draw.text((left, 12), chance.choice(WORDS), fill=ink, font=font)
    draw.text((4, 12), "[7]:", fill=(48, 63, 159), font=font)
    page.paste(image, (left, top))
    if bottom > 30:
        draw.text((left, image.height + top + 8), chance.choice(WORDS), fill=ink, font=font)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=12, help="pictures of each look")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    curves, truth = scans(), {}
    for look, draw in LOOKS.items():
        chance = random.Random(look)
        number = 0
        for scan in chance.sample(sorted(curves), len(curves)):
            if number == arguments.each:
                break
            figure, lr, loss, averaging = draw(curves[scan])
            if len(lr) < MIN_DRAWN:
                plt.close("all")
                continue
            number += 1
            image, how = rendered(figure, chance)
            box = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
            plt.close("all")
            name = f"{look}-{number:02d}.{how['format']}"
            image.save(arguments.folder / name, quality=how["quality"])
            truth[name] = {
                "look": look,
                "set_aside": look in SET_ASIDE,
                "scan": scan,
                "averaging": averaging,
                "how": how,
                "xlim": box[0],
                "ylim": box[1],
                "lr": np.asarray(lr).tolist(),
                "loss": np.asarray(loss).tolist(),
            }
    (arguments.folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    print(f"{len(truth)} pictures of {len(LOOKS)} looks in {arguments.folder}")


if __name__ == "__main__":
    main()
