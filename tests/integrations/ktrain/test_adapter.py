"""Tests scans of ktrain learners of every kind that can be installed: they are restored and explained."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import Analysis, InvalidCurveError, InvalidOptionError, LRScanWarning, last_scan
from keras_lrscan.curves.importers import from_ktrain
from keras_lrscan.integrations.ktrain.adapter import (
    REPLACEMENTS,
    adopt,
    explain_learner,
    lr_estimate,
    lr_find,
    lr_plot,
    release,
)
from keras_lrscan.integrations.ktrain.finder import BATCH_TITLE
from tests.support.hosts import batches_of, compiled, digits, replayed_losses, same_bits, state
from tests.support.learners import (
    KTRAIN,
    MARKS,
    OURS,
    WORDS,
    counted_batches,
    dense,
    keras,
    ktrain,
    learner_of,
    scan,
    shared,
    short_scan,
    texts,
    transformer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = MARKS


def own_optimizer(learner: Any) -> Any:
    """Returns the learner with an optimizer of its own, as ktrain compiles its own models.

    It gets its variables here, because the step of these larger models is traced twice if it creates them. The other
    models of `KINDS` leave them to the step.
    """
    model = learner.model
    optimizer = keras().optimizers.legacy.Adam()
    model.compile(optimizer=optimizer, loss=model.loss, metrics=["accuracy"])
    optimizer._create_all_weights(model.trainable_variables)
    return learner


def tabular(_: Path) -> Any:
    import pandas as pd

    random = np.random.default_rng(0)
    table = pd.DataFrame({"a": random.normal(size=90), "b": random.normal(size=90), "c": random.choice(["x", "y"], 90)})
    table["t"] = np.where(table.a + table.b > 0, "yes", "no")
    data, _, _ = ktrain().tabular.tabular_from_df(table, label_columns=["t"], random_state=0, verbose=0)
    dropouts = [0.0, 0.5]  # ktrain modifies its default, a list, on every call
    model = ktrain().tabular.tabular_classifier("mlp", data, hidden_layers=[8, 8], hidden_dropouts=dropouts, verbose=0)
    return own_optimizer(learner_of(model, data, 16))


def words(name: str) -> Callable[[Path], Any]:
    def build(folder: Path) -> Any:
        x, y = texts(80)
        text, made_names = ktrain().text, ["kind", "unkind"]
        data, _, made = text.texts_from_array(x, y, x, y, class_names=made_names, maxlen=8, max_features=50, verbose=0)
        vectors = folder / "cc.vec"  # replaces the vectors that ktrain downloads for "bigru"
        vectors.write_text("\n".join(" ".join([word, *["0.1"] * 300]) for word in WORDS))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text.preprocessor, "get_wv_path", lambda _: str(vectors))
            return own_optimizer(learner_of(text.text_classifier(name, data, preproc=made, verbose=0), data, 16))

    return build


def images(_: Path) -> Any:
    vision, random = ktrain().vision, np.random.default_rng(0)
    x, y = random.random((40, 8, 8, 3)).astype("float32"), keras().utils.to_categorical(random.integers(0, 2, 40))
    data = vision.images_from_array(x, y, validation_data=(x, y), class_names=["a", "b"])[0]
    layers = keras().layers
    model = keras().Sequential([layers.Flatten(input_shape=(8, 8, 3)), layers.Dense(2, activation="softmax")])
    model.compile(optimizer=keras().optimizers.legacy.Adam(), loss="categorical_crossentropy", metrics=["accuracy"])
    return learner_of(model, data, 16)


def names(_: Path) -> Any:
    x, y = [["Paul", "saw", "Rome"], ["Anna", "saw", "Bern"]] * 20, [["B-PER", "O", "B-LOC"]] * 40
    data, _, made = ktrain().text.entities_from_array(x, y, verbose=0)
    layers = keras().layers
    tags = layers.Dense(len(made.p._label_vocab), activation="softmax")
    model = keras().Sequential([layers.Embedding(50, 4), tags])  # ktrain's own taggers are slow to build
    model.compile(optimizer=keras().optimizers.legacy.Adam(), loss="categorical_crossentropy", metrics=["accuracy"])
    return learner_of(model, data, 8)


KINDS: dict[str, Callable[[Path], Any]] = {
    "arrays": lambda _: dense(),
    "sequence": lambda _: learner_of(
        compiled(keras(), keras().optimizers.legacy.Adam()),
        ktrain().dataset.MultiArrayDataset(*digits(200), batch_size=32),
    ),
    "a data set of one's own": lambda _: dense(data=counted_batches(*digits(200), 32, lambda _: None)),
    "tabular": tabular,
    "nbsvm": words("nbsvm"),
    "fasttext": words("fasttext"),
    "bigru": words("bigru"),
    "transformer": lambda folder: own_optimizer(transformer(folder)),
    "images": images,
    "names": names,
}


@pytest.mark.parametrize("kind", KINDS)
def test_training_after_a_scan_equals_training_without_one(kind: str, tmp_path: Path) -> None:
    ends, analysis = [], None
    for with_scan in (False, True):
        keras().utils.set_random_seed(3)
        learner = KINDS[kind](tmp_path)
        keras().utils.set_random_seed(4)
        if with_scan:
            analysis = lr_find(learner, verbose=0)
        learner.fit(1e-3, 2, verbose=0)
        ends.append(state(learner.model))
    assert same_bits(*ends)
    assert analysis is not None
    assert 30 < len(analysis.curve) <= 370
    assert np.isfinite(analysis.curve.loss[:30]).all()
    context = analysis.curve.context
    assert context.notes == (() if "own" not in kind else context.notes[:1])
    assert context.chance_source == (None if kind == "names" else "label frequencies")


@pytest.fixture(name="adopted")
def _adopted() -> Iterator[None]:
    ktrain()
    adopt()
    yield
    release()


def test_ktrains_arguments_are_taken_in_its_order() -> None:
    for name, ours in REPLACEMENTS.items():
        theirs = inspect.signature(getattr(ktrain().core.Learner, name)).parameters
        assert [*inspect.signature(ours).parameters][1 : len(theirs)] == [*theirs][1:]


@pytest.mark.usefixtures("adopted")
def test_every_learner_is_adopted_and_released() -> None:
    early = dense()
    assert isinstance(early.lr_find(verbose=0), Analysis)
    assert early.model.history is None  # which would be the record of a training
    assert type(early).lr_plot is lr_plot
    release()
    assert type(early).lr_plot is not lr_plot
    assert early.lr_estimate() == early.lr_finder.estimate_lr()  # ktrain's method on our finder
    assert early.lr_plot(return_fig=True) is not None


def test_one_learner_is_adopted_and_released() -> None:
    one, other = dense(), dense()
    adopt(one)
    assert isinstance(one.lr_find(verbose=0), Analysis)
    with pytest.raises(ValueError, match="Please call lr_find first"):
        other.lr_plot()
    release(one)
    assert not set(vars(one)) & set(REPLACEMENTS)


@pytest.mark.usefixtures("adopted")
@pytest.mark.parametrize("method", ["lr_plot", "lr_estimate"])
def test_before_a_scan_ktrains_error_is_raised(method: str) -> None:
    with pytest.raises(InvalidCurveError, match=r"^Please call lr_find first"):
        getattr(dense(), method)()


@pytest.mark.usefixtures("adopted")
@pytest.mark.parametrize(
    "call",
    [
        {"show_plot": True, "suggest": True},
        {"max_epochs": 5, "show_plot": True},
        {"max_epochs": 100},
        {"show_plot": True, "restore_weights_only": True},
        {"start_lr": 1e-5, "lr_mult": 1.1, "class_weight": dict.fromkeys(range(10), 2.0), "stop_factor": 6},
    ],
    ids=str,
)
def test_the_calls_of_ktrains_notebooks_work(call: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    learner = shared(size=320)
    analysis = learner.lr_find(**call)
    assert analysis is learner.lr_finder.analysis is last_scan().analysis  # type: ignore[union-attr]
    out = capsys.readouterr().out
    assert "LRScan: " in out
    assert "Epoch" not in out
    assert analysis.curve.lr[0] == call.get("start_lr", 1e-7)


def test_verbose_0_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lr_find(shared(), verbose=0)
    assert capsys.readouterr().out == ""


def test_the_scan_has_the_step_the_epochs_and_the_end_that_were_asked_for() -> None:
    learner = shared(size=320)
    assert lr_find(learner, lr_mult=1.2, verbose=0).curve.lr[:3] == pytest.approx([1e-7, 1.2e-7, 1.44e-7], rel=0.01)
    assert len(lr_find(learner, max_epochs=4, stop_factor=1e9, verbose=0).curve) == 40
    early, late = (lr_find(learner, stop_factor=factor, verbose=0).curve for factor in (1.5, 6))
    assert (early.stop, late.stop) == ("diverged", "diverged")
    assert len(early) < len(late)
    with pytest.warns(LRScanWarning, match="max_epochs=1, which is 10 batches"):
        assert len(lr_find(learner, max_epochs=1, verbose=0).curve) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr_mult": 1.0}, "`lr_mult` must be above 1"),
        ({"stop_factor": 0}, "`stop_factor` must be above 1"),
        ({"start_lr": -1.0}, "`start_lr` must be a positive"),
    ],
)
def test_an_argument_that_makes_no_scan_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        lr_find(shared(), verbose=0, **options)


def test_the_plot_shows_what_is_asked_for_and_can_be_zoomed() -> None:
    learner = shared()
    lr_find(learner, verbose=0)
    plain, full = lr_plot(learner, return_fig=True), lr_plot(learner, suggest=True, return_fig=True, compare=True)
    assert len(labels(plain)) < len(labels(full))
    assert "ktrain's curve" in labels(full)
    assert lr_plot(learner) is None
    zoomed = lr_plot(learner, 20, 0, return_fig=True)
    assert zoomed is not None
    assert zoomed.axes[0].get_xlim() == (learner.lr_finder.lrs[20], learner.lr_finder.lrs[-1])
    with pytest.raises(InvalidOptionError, match="must leave two of"):
        lr_plot(learner, n_skip_beginning=200)


def labels(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().texts]


def streamed(size: int = 640) -> tuple[Any, Any]:
    """Returns a learner whose batches have a known order, and all of these batches."""
    import tensorflow as tf

    x, y = digits(size)
    data = ktrain().dataset.TFDataset(tf.data.Dataset.from_tensor_slices((x, y)).batch(32).repeat(), n=size, y=y)
    return dense(data=data), batches_of(x, y, size=32, epochs=10)


def test_a_record_of_ktrain_gives_back_the_losses_of_the_batches() -> None:
    learner, batches = streamed()
    scan(KTRAIN, learner)
    rates = np.array(learner.lr_finder.lrs, float)
    twin = compiled(keras(), keras().optimizers.legacy.Adam(1e-3))
    true = replayed_losses(twin, batches, rates[:60])
    curve = from_ktrain(learner)
    np.testing.assert_allclose(curve.loss[1:59], true[2:60], atol=0.01)
    np.testing.assert_allclose(curve.lr[:59], rates[:59], rtol=1e-5)


@pytest.mark.parametrize("kind", ["arrays", "sequence", "transformer"])
def test_a_scan_by_ktrain_is_explained(kind: str, tmp_path: Path) -> None:
    learner = KINDS[kind](tmp_path)
    scan(KTRAIN, learner)
    reading = explain_learner(learner)
    text = str(reading)
    assert text.index("The curve ktrain drew") < text.index(BATCH_TITLE) < text.index("What you see")
    assert "recovered" in text
    assert reading.estimates == pytest.approx(learner.lr_finder.estimate_lr())
    assert reading.analysis.curve.context.chance_loss is not None
    titles = [half.get_suptitle() for half in reading.plot().subfigs]
    assert titles == ["The curve ktrain drew", BATCH_TITLE]
    assert lr_estimate(learner) == pytest.approx(
        [reading.analysis.suggest(method=method).lr for method in ("steepest", "minimum/10", "valley")]
    )


def test_a_scan_by_us_is_explained_beside_what_ktrain_would_have_drawn() -> None:
    learner = shared()
    analysis = lr_find(learner, verbose=0)
    reading = explain_learner(learner)
    assert reading.analysis is analysis
    assert "The curve ktrain would have drawn" in reading.explain()
    assert from_ktrain(learner) is analysis.curve


@pytest.mark.parametrize(("batch_size", "batches"), [(64, 100), (32, 100), (20, 160), (4, 370)])
def test_smaller_batches_get_more_of_them(batch_size: int, batches: int) -> None:
    learner = shared(batch_size=batch_size)
    assert lr_find(learner, verbose=0).curve.context.num_steps == batches


@pytest.mark.parametrize("data", [None, "no learner"])
def test_what_is_no_learner_is_refused(data: Any) -> None:
    for function in (lr_find, lr_plot, lr_estimate, explain_learner):
        with pytest.raises(InvalidOptionError, match="must be a learner of ktrain"):
            function(data)


def test_a_learner_without_a_scan_has_nothing_to_explain() -> None:
    with pytest.raises(InvalidCurveError, match="Please call lr_find first"):
        explain_learner(dense())
    learner = dense()
    short_scan(OURS, learner)
    assert learner.lr_finder.find_called()


@pytest.mark.filterwarnings("ignore::UserWarning")  # raised by ktrain's own scan
def test_the_example_of_the_headlines_ends_with_a_table_and_two_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    get_learner = ktrain().get_learner

    def with_variables(model: Any, **options: Any) -> Any:
        """Gives the optimizer its variables, as `own_optimizer` does."""
        model.optimizer._create_all_weights(model.trainable_variables)
        return get_learner(model, **options)

    monkeypatch.setattr(ktrain(), "get_learner", with_variables)
    example = Path(__file__).parents[3] / "examples" / "ktrain_headlines.py"
    monkeypatch.setattr("sys.argv", [example.name, "--quick", "--output", str(tmp_path)])
    runpy.run_path(str(example), run_name="__main__")
    printed = capsys.readouterr().out
    assert re.search(r"\| ours \| \d\.\de-0\d \|", printed)
    assert "| ktrain's valley |" in printed
    assert BATCH_TITLE in printed
    assert {path.name for path in tmp_path.iterdir()} == {"headlines_curves.png", "headlines_training.png"}
