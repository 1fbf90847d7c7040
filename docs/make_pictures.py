"""Draws the pictures of the README: two real scans of the digits classifier, fresh and already trained."""

from pathlib import Path

import keras
from matplotlib.figure import Figure

from keras_lrscan import LRScan
from keras_lrscan.demo import digits, digits_model

HERE = Path(__file__).parent / "images"

for name, num_epochs in {"fresh": 0, "already_good": 10}.items():
    keras.utils.set_random_seed(0)
    x, y = digits()
    model = digits_model()
    model.fit(x, y, epochs=num_epochs, verbose=0)
    scan = LRScan(verbose=0)
    model.fit(x, y, epochs=3, callbacks=[scan], verbose=0)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    scan.plot(ax=figure.subplots())
    figure.savefig(HERE / f"{name}.png", dpi=100)
