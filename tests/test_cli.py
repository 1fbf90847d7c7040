from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from keras_lrscan import LRCurve, analyze
from keras_lrscan.cli import Exit, main
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.explanation.handbook import page
from keras_lrscan.explanation.questions import QUESTIONS, Question

PNG = b"\x89PNG"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    synthetic_curve("u-shaped").to_csv(tmp_path / "scan.csv")
    return tmp_path / "scan.csv"


def test_analyze_explains_a_csv_file(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(csv)]) == 0
    assert capsys.readouterr().out.startswith("A textbook U (u-shaped, LRS101)")


def test_analyze_prints_json_that_can_be_read_again(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(csv), "--json", "--chance-loss", "2.303"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["verdict"]["shape"] == "u-shaped"
    assert data["verdict"]["start_state"] == "at-chance"


def test_analyze_draws_a_picture(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", exc_type=ImportError)
    assert main(["analyze", str(csv), "--plot", str(tmp_path / "out.png")]) == 0
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)
    assert "Plot written to" in capsys.readouterr().err


def test_analyze_reads_a_saved_curve_and_a_saved_analysis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curve = synthetic_curve("still-falling")
    curve.to_json(tmp_path / "curve.json")
    analyze(curve).save(tmp_path / "analysis.json")
    main(["analyze", str(tmp_path / "curve.json")])
    first = capsys.readouterr().out
    main(["analyze", str(tmp_path / "analysis.json")])
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("saved", ["curve.json", "analysis.json"])
def test_a_chance_level_completes_a_file_of_this_package(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = synthetic_curve("u-shaped")
    bare = LRCurve(lr=curve.lr, loss=curve.loss)
    bare.to_json(tmp_path / "curve.json")
    analyze(bare).save(tmp_path / "analysis.json")
    assert main(["analyze", str(tmp_path / saved), "--json", "--chance-loss", "2.303"]) == Exit.OK
    data = json.loads(capsys.readouterr().out)
    assert data["curve"]["context"]["chance_loss"] == 2.303
    assert data["verdict"]["start_state"] == "at-chance"


@pytest.mark.parametrize("saved", ["curve.csv", "curve.json", "analysis.json"])
def test_analyze_leaves_out_points_at_either_end(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = synthetic_curve("u-shaped", num_steps=100)
    curve.to_csv(tmp_path / "curve.csv")
    curve.to_json(tmp_path / "curve.json")
    analyze(curve).save(tmp_path / "analysis.json")
    assert main(["analyze", str(tmp_path / saved), "--json", "--skip-start", "10", "--skip-end", "5"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["curve"]["lr"] == curve.lr[10:-5].tolist()


def test_a_number_of_points_below_zero_is_an_invalid_option(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(csv), "--skip-end", "-1"]) == Exit.BAD_OPTION
    assert "`--skip-end` must be an integer of at least 0. Received: --skip-end=-1." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rate,loss\n1e-4,2\n",
            "Expected a CSV file with the columns 'lr' and 'loss'. Received: columns=['rate', 'loss']",
        ),
        ("lr,loss\nnan,2\n", "Expected every learning rate to be finite and positive. Received: lr[0]=nan."),
    ],
)
def test_a_bad_file_ends_with_a_sentence_and_the_status_of_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "bad.csv").write_text(text)
    assert main(["analyze", str(tmp_path / "bad.csv")]) == Exit.BAD_INPUT
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    """Returns a folder with a recording and other files that an output path may hit."""
    synthetic_curve("u-shaped").to_csv(tmp_path / "scan.html")
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "link.html").symlink_to(tmp_path / "victim")
    (tmp_path / "link.png").symlink_to(tmp_path / "victim")
    return tmp_path


OUTPUTS = [
    (["report", "-"], "an output file for a scan from standard input. Received: no `--output`. Add `-o scan.html`"),
    (["report", "scan.html"], "an output file other than the input file"),
    (["report", "scan.html", "-o", "scan.html"], "an output file other than the input file"),
    (["report", "scan.html", "-o", "link.html"], "a symbolic link"),
    (["report", "scan.html", "-o", "/dev/null"], "a device"),
    (["report", "scan.html", "-o", "."], "a folder"),
    (["report", "scan.html", "-o", "a\0b.html"], "without NUL characters"),
    (["analyze", "scan.html", "--plot", "link.png"], "Received: --plot='link.png', a symbolic link"),
    (["analyze", "scan.html", "--plot", "nowhere/out.png"], "in an existing folder. Received: --plot="),
    (["analyze", "scan.html", "--plot", "out.xyz"], "'*.pdf', '*.pgf', '*.png', "),
    (["analyze", "scan.html", "--plot", "out"], "'*.svgz', "),
    (["analyze", "scan\0.html"], "without NUL characters"),
]


@pytest.mark.parametrize(("arguments", "message"), OUTPUTS)
def test_output_never_takes_the_place_of_something_else(
    tree: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    pytest.importorskip("jinja2", exc_type=ImportError)
    pytest.importorskip("matplotlib", exc_type=ImportError)
    monkeypatch.chdir(tree)
    before = {path.name: path.read_bytes() for path in tree.iterdir()}
    assert main(arguments) == Exit.BAD_OPTION
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tree.iterdir()} == before
    assert Path("/dev/null").is_char_device()


def test_a_picture_is_not_drawn_over_the_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", exc_type=ImportError)
    synthetic_curve("u-shaped").to_csv(tmp_path / "scan.pdf")
    before = (tmp_path / "scan.pdf").read_bytes()
    assert main(["analyze", str(tmp_path / "scan.pdf"), "--plot", str(tmp_path / "scan.pdf")]) == Exit.BAD_OPTION
    assert "an output file other than the input file. Received: --plot=" in capsys.readouterr().err
    assert (tmp_path / "scan.pdf").read_bytes() == before


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "-1e400", "1e101", "high", "9" * 5000])
@pytest.mark.parametrize("option", ["--chance-loss", "--steps-per-epoch"])
def test_a_number_that_is_none_is_refused(
    csv: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(csv), f"{option}={value}"])
    assert ended.value.code == 2
    assert (
        f"argument {option}: must be a finite number, at most 1e+100 in magnitude. Received: '"
        in capsys.readouterr().err
    )


def test_a_saved_result_that_was_changed_ends_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads(json.dumps(analyze(synthetic_curve("u-shaped")).to_dict()))
    data["findings"][0]["status"] = "maybe"
    (tmp_path / "scan.json").write_text(json.dumps(data))
    assert main(["explain", str(tmp_path / "scan.json")]) == Exit.BAD_INPUT
    assert "a value that this version knows at `findings[0].status`" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["analyze", "report", "explain"])
def test_a_missing_file_ends_with_a_sentence_and_the_status_of_bad_input(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "nowhere.csv"]) == Exit.BAD_INPUT
    assert "nowhere.csv" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("lrscan ")


DRAWN = Path(__file__).parent / "data" / "ktrain_runs" / "reuters_pretrained_maxep1.csv"


def test_analyze_undoes_what_ktrain_averaged_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(DRAWN), "--loss-column", "ktrain_loss"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "A textbook U" in text
    assert "About this record - Averages were detected: " in text
    assert "ktrain averages an average" in text


def test_analyze_leaves_averages_alone_when_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    how = ["--loss-column", "keras_loss", "--averaging", "running-mean", "--steps-per-epoch", "600", "--json"]
    assert main(["analyze", str(DRAWN), *how, "--no-undo"]) == 0
    context = json.loads(capsys.readouterr().out)["curve"]["context"]
    assert context["averaging"] == "running-mean"
    assert "shifts landmarks to the right" in context["notes"][0]
    assert main(["analyze", str(DRAWN), *how]) == 0
    assert "averaging" not in json.loads(capsys.readouterr().out)["curve"]["context"]


def test_analyze_reads_the_history_of_another_tool(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parent / "data" / "peers" / "lightning.json"
    assert main(["analyze", str(path), "--averaging", "lightning"]) == 0
    assert "as Lightning stores it" in " ".join(capsys.readouterr().out.split())


def test_explain_prints_the_page_of_a_code_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "lrs301"]) == 0
    assert capsys.readouterr().out == page("LRS301")
    assert main(["explain", "LRS301", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"topic": "LRS301", "page": page("LRS301")}
    assert main(["explain", "LRS301", "--level", "expert"]) == 0
    assert capsys.readouterr().out == page("LRS301", level="expert") != page("LRS301")


def test_explain_refuses_a_code_that_no_rule_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "LRS999"]) == Exit.BAD_OPTION
    assert "Received: 'LRS999'. Near: 'LRS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("topic", "codes"),
    [("u-shaped", ["LRS101"]), ("U shaped", ["LRS101"]), ("noisy", ["LRS103", "LRS203"]), ("nan in data", ["LRS312"])],
)
def test_explain_prints_the_pages_of_a_name(topic: str, codes: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", topic]) == 0
    assert capsys.readouterr().out == "\n".join(page(code) for code in codes)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.asks)
def test_explain_answers_every_question(question: Question, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", question.asks]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"# {question.asks}\n")
    assert text.count("\n- ") == len(question.answers) + len(question.sources)
    assert "{" not in text


def test_explain_finds_a_question_by_a_word_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "overfitting"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# Is it overfitting?\n\nIf all of this holds:")
    assert "- No. Overfitting shows" in page


def test_explain_reads_a_file_with_the_name_of_a_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    synthetic_curve("still-falling").to_csv("spike")
    assert main(["explain", "spike"]) == 0
    assert "still-falling" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("topic", "near"), [("banana", "'LRS101', 'u-shaped', "), ("?", "'LRS101'"), ("overfiting", "'overfitting'")]
)
def test_explain_names_what_is_near_to_an_unknown_topic(
    topic: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", topic]) == Exit.BAD_OPTION
    assert f"Received: {topic!r}. Near: {near}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["analyze", "explain", "report"])
def test_an_empty_name_is_no_folder(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, ""])
    assert ended.value.code == Exit.BAD_OPTION
    assert "argument file: must not be empty. Received: ''" in capsys.readouterr().err


def test_app_names_the_option_that_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["app", "--host", "no host", "--no-browser"]) == Exit.BAD_OPTION
    assert "`--host` must be an address of this computer. Received: --host='no host'" in capsys.readouterr().err
    assert main(["app", "--port", "70000", "--no-browser"]) == Exit.BAD_OPTION
    assert "`--port` must be a number from 0 to 65535. Received: --port=70000." in capsys.readouterr().err


def given_to_standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize("kind", ["csv", "curve", "analysis"])
def test_a_dash_is_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    curve = synthetic_curve("u-shaped")
    save = {"csv": curve.to_csv, "curve": curve.to_json, "analysis": analyze(curve).save}[kind]
    save(tmp_path / "scan")
    given_to_standard_input(monkeypatch, (tmp_path / "scan").read_bytes())
    assert main(["analyze", "-"]) == Exit.OK
    assert capsys.readouterr().out.startswith("A textbook U (u-shaped, LRS101)")


def test_a_report_of_standard_input_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jinja2", exc_type=ImportError)
    pytest.importorskip("matplotlib", exc_type=ImportError)
    synthetic_curve("u-shaped").to_csv(tmp_path / "scan.csv")
    given_to_standard_input(monkeypatch, (tmp_path / "scan.csv").read_bytes())
    assert main(["report", "-", "-o", str(tmp_path / "scan.html")]) == Exit.OK
    assert "u-shaped" in (tmp_path / "scan.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{nothing", "Received: path='an open file', which is not JSON"),
        (b"[1, 2]", "JSON"),
        (b"", "Received: an empty file."),
        (PNG + bytes(20), "Received: a picture. Pass its file instead."),
    ],
)
def test_bad_standard_input_is_named(
    data: bytes, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given_to_standard_input(monkeypatch, data)
    assert main(["analyze", "-"]) == Exit.BAD_INPUT
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["plot.svg", "plot.PDF", "plot.tiff"])
def test_other_pictures_are_to_be_saved_as_png(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(b"<svg/>")
    assert main(["analyze", str(tmp_path / name)]) == Exit.BAD_INPUT
    assert "Save it as PNG." in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "0.5", "-3"])
def test_less_than_one_batch_in_an_epoch_is_an_invalid_option(
    number: str, csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(csv), "--averaging", "running-mean", "--steps-per-epoch", number])
    assert ended.value.code == Exit.BAD_OPTION
    assert "must be at least 1" in capsys.readouterr().err


def test_a_curve_without_a_suggestion_has_a_status_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic_curve("flat").to_csv(tmp_path / "flat.csv")
    assert main(["analyze", str(tmp_path / "flat.csv")]) == Exit.NO_SUGGESTION
    assert capsys.readouterr().out
    assert main(["explain", str(tmp_path / "flat.csv")]) == Exit.OK


NAMED = [
    ("x,loss\n1,1\n", ["--lr-column=rate"], "or name them with `--lr-column` and `--loss-column`."),
    ("lr,loss\n1e-3,\n,2\n", [], "or name other columns with `--lr-column` and `--loss-column`."),
]


@pytest.mark.parametrize(("text", "options", "message"), NAMED)
def test_errors_name_the_options_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], message: str
) -> None:
    (tmp_path / "scan.csv").write_text(text)
    assert main(["analyze", str(tmp_path / "scan.csv"), *options]) == Exit.BAD_INPUT
    assert message in capsys.readouterr().err


def test_the_help_lists_the_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(f" {int(status)} " in text.replace(",", " ") for status in Exit)


def test_explain_tells_a_file_for_beginners_and_for_experts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scan.json"
    analysis = analyze(synthetic_curve("u-shaped"))
    analysis.save(path)
    assert main(["explain", str(path)]) == 0
    assert capsys.readouterr().out == analysis.explain()
    assert main(["explain", str(path), "--level", "expert"]) == 0
    assert capsys.readouterr().out == analysis.explain(level="expert")
    assert main(["explain", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [part["heading"] for part in told["sections"]][:2] == ["", "How to read it"]
