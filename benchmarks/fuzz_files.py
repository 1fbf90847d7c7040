"""Fuzzes the loading functions and the command with broken files, each of which must load or raise a clear error.

`python -W error benchmarks/fuzz_files.py` breaks 10,000 files: curves, saved analyses and results of experiments in
JSON, and tables in CSV. It removes or swaps parts, changes types and numbers, drops or changes bytes, changes the
encoding, and breaks column names, delimiters and cells. Half of the files that `lrscan` accepts go through the command,
and all others through the functions. The script prints a table of outcomes. The exit status is 1 if a file neither
loads nor raises an error of this package (for the command, exit status 2 and a message).
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib.util
import io
import json
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fuzzing import attempt, run

from keras_lrscan import LRCurve, analyze, describe_plot, load
from keras_lrscan.cli import Exit
from keras_lrscan.cli import main as lrscan
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.curves.importers import from_csv, from_json
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.errors import LRScanError
from keras_lrscan.experiments.contrast import Contrast
from keras_lrscan.experiments.layer_groups import GroupReading, LayerGroups
from keras_lrscan.experiments.race_result import Candidate, CandidateOutcome, RaceResult
from keras_lrscan.experiments.repeats import Repeats
from keras_lrscan.files.decoding import read_json_object
from keras_lrscan.probes.investigation import Investigation, Outcome, ProbeResult
from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Draw = np.random.Generator

READERS: Mapping[str, Callable[[Path], Any]] = {
    "curve": from_json,
    "history": from_json,
    "analysis": load,
    "contrast": Contrast.load,
    "repeats": Repeats.load,
    "layer-groups": LayerGroups.load,
    "race": RaceResult.load,
    "investigation": lambda path: Investigation.from_dict(read_json_object(path)),
    "csv": from_csv,
    "lightning": from_csv,
}
"""Kind of file → function that loads it."""

ONE_SCAN = frozenset({"curve", "history", "analysis", "csv", "lightning"})
"""Kinds of files that the command accepts."""

ODD_VALUES = (
    *(None, True, False, 0, 1, -1, 7, 2**62, 10**400, 0.5, -0.5, 1e-320, 1e308, -1e308, 1e101),
    *("", "x", "nan", "inf", "-inf", "u-shaped", "\ud800", "\0", "é" * 100, "{slot}", "<b>"),
    *([], {}, [[]], [1, 2], ["a"], {"lr": 1}, [None] * 3),
)
ODD_TEXTS = ("NaN", "Infinity", "1e999", "-1e999", "9" * 400, "9" * 5000, "[" * 100_000, '{"a":' * 5000, "'x'", "\\u00")
ODD_CELLS = ("", "nan", "inf", "1e999", "-3", "0", "1,5", "1.5", "x", "1_0", "9" * 5000, '"', "0x1p3", "é", "\0", "1;2")
ODD_COLUMNS = ("lr", "loss", "learning_rate", "lrs", "losses", "lr-SGD", "lr-Adam", "train_loss", "step", "x", "")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp037")
OPTIONS = (
    *(["--json"], ["--no-undo"], ["--chance-loss", "2.3"], ["--chance-loss", "nan"], ["--chance-loss=-1e400"]),
    *(["--steps-per-epoch", "30"], ["--steps-per-epoch", "0"], ["--lr-column", "rate"], ["--loss-column", "lr"]),
    *(["--averaging", name] for name in AVERAGES),
)
PICTURES = ("out.png", "out.xyz", "out", "no/folder.png", "link.png", "scan.json", "out\0.png")
MAX_INT = 1e15
"""Bound below which a changed integer stays an integer."""
SHARE_DRAWN = 0.01
"""Share of cases with a plot or report, which take a second each."""


def originals() -> dict[str, str]:
    """Returns the contents of valid files of every kind, as this package and other tools write them."""
    first, second = (synthetic_curve(shape, num_steps=45) for shape in ("u-shaped", "flat-at-chance"))
    readings = [analyze(curve, num_copies=3) for curve in (first, second)]
    group = GroupReading(name="head", holds="the head", paths=("a", "b"), num_params=3, analysis=readings[0])
    losses = np.array([2.0, 1.0, np.inf])
    racers = (
        Candidate(lr=0.1, losses=losses, score=np.inf, outcome=CandidateOutcome.BROKE),
        Candidate(lr=0.01, losses=losses[:2], score=1.0, outcome=CandidateOutcome.WON),
    )
    race = RaceResult(
        suggestion=readings[0].suggestion,
        before=readings[1].suggestion,
        candidates=racers,
        role=Role.CONSTANT,
        judged_by="training loss",
        start_loss=2.3,
        num_steps=5,
    )
    probe = ProbeResult(name="overfit", question="Does it?", outcome=Outcome.YES, evidence="It does.", confirms=("x",))
    made: dict[str, Any] = {
        "curve": first,
        "analysis": readings[0],
        "contrast": Contrast(given=readings[0], scratch=readings[1]),
        "repeats": Repeats(analyses=tuple(readings), num_planned=3),
        "layer-groups": LayerGroups(together=readings[0], groups=(group,), num_planned=2, optimizer="Adam"),
        "race": race,
        "investigation": Investigation(analysis=readings[0], results=(probe,)),
    }
    texts = {kind: json.dumps(item.to_dict()) for kind, item in made.items()}
    pairs = list(zip(first.lr.tolist(), first.loss.tolist(), strict=True))
    texts["history"] = json.dumps({"lrs": first.lr.tolist(), "losses": first.loss.tolist(), "accuracy": [0.1]})
    texts["csv"] = "\n".join(["lr,loss", *(f"{lr!r},{loss!r}" for lr, loss in pairs)]) + "\n"
    steps = (f"0,{lr!r},{at},\n0,,{at},{loss!r}" for at, (lr, loss) in enumerate(pairs))
    texts["lightning"] = "\n".join(["epoch,lr-SGD,step,train_loss", *steps]) + "\n"
    return texts


def change_value(rng: Draw, data: Any) -> Any:
    """Removes, replaces or duplicates one random part of JSON data."""
    data = copy.deepcopy(data)
    holder = data
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return data
        key = keys[rng.integers(len(keys))]
        part = holder[key]
        if isinstance(part, (dict, list)) and part and rng.random() < 0.8:
            holder = part
            continue
        kind = rng.integers(8) if rng.integers(2) else 2  # half of the changes keep a plausible number
        odd = copy.deepcopy(ODD_VALUES[rng.integers(len(ODD_VALUES))])
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(int(rng.integers(len(holder) + 1)), odd)
        elif kind == 1:
            holder[str(odd)] = odd
        elif kind == 2 and type(part) in {int, float} and abs(part) < 1e300:
            factor = float(rng.choice([-1, 0, 1e3, 1e-3, 1e200, 0.5, 1.01]))
            holder[key] = (
                int(part * factor) if isinstance(part, int) and abs(part * factor) < MAX_INT else part * factor
            )
        elif kind == 3:
            holder[key] = copy.deepcopy(holder[keys[rng.integers(len(keys))]])
        elif kind == 4 and isinstance(part, list):
            holder[key] = part[: rng.integers(len(part) + 1)]
        else:
            holder[key] = odd
        return data


def change_table(rng: Draw, text: str) -> str:
    """Changes column names, cells, rows or delimiters of a table."""
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(rng.integers(1, 4)):
        kind, at = rng.integers(6), rng.integers(len(rows))
        if kind == 0:
            rows[0][rng.integers(len(rows[0]))] = ODD_COLUMNS[rng.integers(len(ODD_COLUMNS))]
        elif kind == 1 and len(rows) > 1:
            del rows[at]
        elif kind == 2:
            rows.insert(at, [ODD_CELLS[rng.integers(len(ODD_CELLS))] for _ in range(rng.integers(5))])
        elif rows[at]:
            rows[at][rng.integers(len(rows[at]))] = ODD_CELLS[rng.integers(len(ODD_CELLS))]
    rows[0] = rows[0] or [""]
    made = "\n".join(str(rng.choice([",", ",", ",", ";", "\t", "|"])).join(row) for row in rows[:1])
    delimiter = next((mark for mark in ",;\t|" if mark in made), ",")
    body = [delimiter.join(row) for row in rows[1:]]
    if delimiter == ";" and rng.integers(2):
        body = [line.replace(".", ",") for line in body]
    if rng.integers(20) == 0:
        body.append(f"{'1' * 200_000}{delimiter}2")
    return "\n".join([made, *body])


def change_text(rng: Draw, text: str) -> str:
    """Truncates a text or inserts something odd."""
    at = int(rng.integers(len(text) + 1))
    if rng.integers(3) == 0:
        return text[:at]
    odd = ODD_TEXTS[rng.integers(len(ODD_TEXTS))]
    colon = text.find(": ", at)
    if colon >= 0 and rng.integers(2):
        end = min((where for where in (text.find(mark, colon) for mark in ",]}") if where > 0), default=colon + 2)
        return text[: colon + 2] + odd + text[end:]
    return text[:at] + odd + text[at:]


def broken(rng: Draw, kind: str, text: str) -> bytes:
    """Returns the bytes of a file with one or more errors, possibly in another encoding."""
    if kind in {"csv", "lightning"}:
        text = change_table(rng, text) if rng.integers(5) else change_text(rng, text)
    elif rng.integers(5):
        data = json.loads(text)
        for _ in range(rng.integers(1, 3)):
            data = change_value(rng, data)
        text = json.dumps(data) if isinstance(data, dict) or rng.integers(2) else "[]"
    else:
        text = change_text(rng, text)
    encoding = str(rng.choice(ENCODINGS)) if rng.integers(6) == 0 else "utf-8"
    found = text.encode(encoding, errors="surrogatepass" if encoding.startswith("utf") else "replace")
    if rng.integers(10) == 0 and found:
        at = int(rng.integers(len(found)))
        found = found[:at] + bytes(rng.integers(0, 256, 1, dtype=np.uint8)) + found[at + int(rng.integers(2)) :]
    return found


def through_functions(rng: Draw, kind: str, path: Path) -> str:
    """Loads a file with its function, explains the result, and sometimes plots it."""
    try:
        found = READERS[kind](path)
    except LRScanError as error:
        return f"function refused: {type(error).__name__}"
    found = analyze(found, num_copies=3) if isinstance(found, LRCurve) else found
    found.explain()
    json.dumps(found.to_dict(), allow_nan=False).encode()
    if kind in ONE_SCAN:
        found.explain(level="expert")
        found.summary()
        describe_plot(found)
        found.search_range()
    if rng.random() < SHARE_DRAWN and hasattr(found, "plot") and importlib.util.find_spec("matplotlib"):
        from matplotlib.figure import Figure

        found.plot(ax=Figure().subplots())
    return "function read"


def through_command(rng: Draw, kind: str, path: Path) -> str:
    """Passes a file to `lrscan` with random options and returns the outcome."""
    command = str(rng.choice(["analyze", "explain"]))
    given = [command, str(path)]
    for _ in range(rng.integers(3)):
        option = OPTIONS[rng.integers(len(OPTIONS))]
        given += option if kind in {"csv", "lightning"} or option[0] != "--lr-column" else []
    if rng.random() < SHARE_DRAWN:
        given = ["report", str(path), "-o", str(path.parent / str(rng.choice(["out.html", path.name, "link.html"])))]
    elif rng.random() < SHARE_DRAWN:
        given = ["analyze", str(path), "--plot", str(path.parent / str(rng.choice(PICTURES)))]
    if rng.integers(100) == 0:
        given[1] += "\0"
    before = path.read_bytes()
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = lrscan(given)
        except SystemExit as end:
            status = int(end.code or 0)
    out.flush()
    if path.read_bytes() != before or (path.parent / "victim").exists():
        msg = "Expected the input and the target of a link to be unchanged. One of them was overwritten."
        raise AssertionError(msg)
    if status not in set(Exit) or (status in {Exit.BAD_OPTION, Exit.BAD_INPUT} and "lrscan" not in err.getvalue()):
        msg = f"Expected a known exit status, and a message if refused. Received: {status=}, stderr={err.getvalue()!r}"
        raise AssertionError(msg)
    return "command refused" if status in {Exit.BAD_OPTION, Exit.BAD_INPUT} else "command read"


def fuzz(count: int, *, seed: int = 0, show: int = 2) -> Counter[str]:
    """Loads broken files, counts the outcomes, and writes the first unexpected errors to stderr.

    Args:
        count: Number of files.
        seed: File `i` has the seed `(seed, i)`, so it can be reproduced alone.
        show: Number of tracebacks to write for each kind of error.
    """
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("error")
        folder, whole = Path(name), originals()
        for link in ("link.html", "link.png"):
            (folder / link).symlink_to(folder / "victim")
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            kind = str(rng.choice([*whole, *sorted(ONE_SCAN)]))
            path = folder / ("scan.csv" if kind in {"csv", "lightning"} else "scan.json")
            path.write_bytes(broken(rng, kind, whole[kind]))
            through = through_command if kind in ONE_SCAN and rng.integers(2) else through_functions
            attempt(ends, f"file {number}, {kind}", functools.partial(through, rng, kind, path), show=show)
    return ends


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table of outcomes and returns 1 if one is unexpected."""
    return run(fuzz, "Fuzzes loading with broken files.", 10_000, argv)


if __name__ == "__main__":
    sys.exit(main())
