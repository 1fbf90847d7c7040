from __future__ import annotations

import json
from pathlib import Path

import pytest

from keras_lrscan import analyze
from keras_lrscan.cli import main
from keras_lrscan.handbook import page
from keras_lrscan.synthetic import synthetic_curve

PNG = b"\x89PNG"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    synthetic_curve("u-shaped").to_csv(tmp_path / "scan.csv")
    return tmp_path / "scan.csv"


def test_analyze_explains_a_csv_file(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(csv)]) == 0
    assert capsys.readouterr().out.startswith("A U: the textbook curve (u-shaped, LRS101)")


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
def test_a_bad_file_ends_with_a_sentence_and_status_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "bad.csv").write_text(text)
    assert main(["analyze", str(tmp_path / "bad.csv")]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out


def test_a_missing_file_ends_with_a_sentence_and_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "nowhere.csv"]) == 2
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
    assert "A U: the textbook curve" in text
    assert "About this record - Averages were recognised: " in text
    assert "ktrain averages an average" in text


def test_analyze_leaves_averages_alone_when_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    how = ["--loss-column", "keras_loss", "--averaging", "running-mean", "--steps-per-epoch", "600", "--json"]
    assert main(["analyze", str(DRAWN), *how, "--no-undo"]) == 0
    context = json.loads(capsys.readouterr().out)["curve"]["context"]
    assert context["averaging"] == "running-mean"
    assert "Landmarks stand to the right of where they belong" in context["notes"][0]
    assert main(["analyze", str(DRAWN), *how]) == 0
    assert "averaging" not in json.loads(capsys.readouterr().out)["curve"]["context"]


def test_analyze_reads_the_history_of_another_tool(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parent / "data" / "peers" / "lightning.json"
    assert main(["analyze", str(path), "--averaging", "lightning"]) == 0
    assert "which is what Lightning stores" in " ".join(capsys.readouterr().out.split())


def test_explain_prints_the_page_of_a_code_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "lrs301"]) == 0
    assert capsys.readouterr().out == page("LRS301")
    assert main(["explain", "LRS301", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"code": "LRS301", "page": page("LRS301")}


def test_explain_refuses_a_code_that_no_rule_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "LRS999"]) == 2
    assert "must be the code of a shape, trait or cause" in capsys.readouterr().err


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
    assert [part["heading"] for part in told["sections"]][:2] == ["", "What you see"]
