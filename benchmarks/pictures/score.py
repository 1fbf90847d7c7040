"""Reads the pictures that `draw.py` has drawn, and compares what was read with the numbers in them.

python benchmarks/pictures/score.py FOLDER [--look NAME]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_lrscan import InvalidCurveError, analyze
from keras_lrscan.curves.importers import build_curve
from keras_lrscan.curves.picture_importer import curve_of_picture
from keras_lrscan.pictures.reader import PictureReading, read_picture

WRONG_DECADES, WRONG_SHARE = 0.25, 0.1
"""An axis is wrong if an end of the curve, or its median loss, is further off: more than any blur explains."""

COLUMNS = ("pictures", "right", "asked", "wrong", "decades", "height", "same verdict")


def scored(reading: PictureReading, truth: dict[str, Any]) -> dict[str, float]:
    """Returns the errors of the rates at both ends in decades, and of the losses as a share of the axis."""
    lr, loss = np.array(truth["lr"]), np.array(truth["loss"])
    low, high = truth["ylim"]
    if reading.y_axis.is_log:
        loss, low, high, read = np.log10(loss), np.log10(low), np.log10(high), np.log10(np.maximum(reading.loss, 1e-30))
    else:
        read = reading.loss
    if reading.x_axis.is_log:
        true_place, place = np.log10(lr), np.log10(reading.lr)
        ends = [abs(place[0] - true_place[0]), abs(place[-1] - true_place[-1])]
    else:  # the first column of a straight axis holds decades
        true_place, place = lr, reading.lr
        ends = [abs(np.log10(place[-1] / true_place[-1]))]
    off = np.abs(np.interp(place, true_place, loss) - read) / (high - low)
    return {"decades": float(np.max(ends)), "height": float(np.median(off))}


def verdicts(reading: PictureReading, truth: dict[str, Any]) -> tuple[str, str]:
    numbers = build_curve(truth["lr"], truth["loss"], averaging=truth["averaging"], undo=False, context=None)
    picture = curve_of_picture(reading)
    return str(analyze(numbers).verdict.shape), str(analyze(picture).verdict.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--look", help="only this look, with a line for each picture")
    arguments = parser.parse_args()
    truth = json.loads((arguments.folder / "truth.json").read_text(encoding="utf-8"))
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, one in truth.items():
        if arguments.look not in {None, one["look"]}:
            continue
        try:
            reading = read_picture(arguments.folder / name)
        except InvalidCurveError as error:
            row: dict[str, Any] = {"asked": True}
            detail = str(error)[:140]
        else:
            row = scored(reading, one)
            row["wrong"] = row["decades"] > WRONG_DECADES or row["height"] > WRONG_SHARE
            row["verdicts"] = verdicts(reading, one)
            detail = f"{row['decades']:.3f} decades, {row['height']:.2%}, {row['verdicts']}"
            detail += f" {len(one['lr'])} points, {reading.num_points} seen"
        if arguments.look or row.get("wrong"):
            print(name, one["scan"], detail)
        rows[one["look"]].append(row)
    groups = {"tuned": [], "set aside": []}
    print("| look |", " | ".join(COLUMNS), "|\n|---|" + "---|" * len(COLUMNS))
    aside = {one["look"] for one in truth.values() if one["set_aside"]}
    for look, found in rows.items():
        groups["set aside" if look in aside else "tuned"] += found
        print(_row(f"{look}{' (set aside)' if look in aside else ''}", found))
    for name, found in groups.items():
        if found:
            print(_row(f"**{name}**", found))


def _row(name: str, found: list[dict[str, Any]]) -> str:
    read = [one for one in found if "asked" not in one]
    right = [one for one in read if not one["wrong"]]
    cells = [
        str(len(found)),
        str(len(right)),
        str(len(found) - len(read)),
        str(len(read) - len(right)),
        f"{np.median([one['decades'] for one in read]):.3f}" if read else "",
        f"{np.median([one['height'] for one in read]):.2%}" if read else "",
        f"{np.mean([one['verdicts'][0] == one['verdicts'][1] for one in read]):.0%}" if read else "",
    ]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
