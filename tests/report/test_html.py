from __future__ import annotations

import base64
import dataclasses
import json
import re
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_lrscan import Analysis, LRCurve, ScanContext, analyze, describe_plot
from keras_lrscan.cli import main
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.errors import InvalidOptionError, MissingDependencyError
from keras_lrscan.explanation.answer import title
from keras_lrscan.explanation.explain import sections
from keras_lrscan.explanation.formulas import formulas
from keras_lrscan.formatting import format_lr
from keras_lrscan.report.html import notebook_html, report_html
from keras_lrscan.report.svg import svg
from keras_lrscan.suggestions.suggest import Role, format_range
from tests.support.html_tree import Page

pytest.importorskip("jinja2", reason="a report needs jinja2", exc_type=ImportError)
pytest.importorskip("matplotlib", reason="a report needs matplotlib", exc_type=ImportError)

RECORDED = Path(__file__).parents[2] / "docs" / "curves"
SCANS = ("fresh-classifier", "frozen-layers", "outlying-targets", "collapse")
"""Recorded scans with and without causes and suggestions. Drawing all twelve takes too long."""


@cache
def recorded(name: str) -> Analysis:
    return analyze(LRCurve.from_json(RECORDED / f"{name}.json"))


@cache
def page(name: str) -> Page:
    return Page(report_html(recorded(name)))


def spaced(text: str) -> str:
    return " ".join(text.split())


def plain(sentence: str) -> str:
    return spaced(sentence.replace("`", ""))


@pytest.mark.parametrize("name", SCANS)
def test_all_that_was_found_is_in_the_report(name: str) -> None:
    analysis, found = recorded(name), page(name)
    text = spaced(found.named("main")[0].text)
    assert spaced(found.named("h1")[0].text) == title(analysis)
    for section in sections(analysis, level="full"):
        assert section.heading in text
        assert all(plain(sentence) in text for sentence in section.sentences)
    for finding in (*analysis.findings, *analysis.excluded):
        assert finding.code in text
        assert plain(finding.title) in text
        assert all(plain(sentence) in text for sentence in finding.evidence)
    assert all(plain(sentence) in text for sentence in formulas(analysis))
    assert f"{100 * analysis.verdict.confidence:.0f} %" in text.replace("\N{NO-BREAK SPACE}", " ")


def test_what_was_ruled_out_and_the_formulas_are_folded_away() -> None:
    folded = [tag for tag in page("fresh-classifier").named("details") if "open" not in tag.attributes]
    excluded, expert = (spaced(tag.text) for tag in folded)
    assert all(finding.code in excluded for finding in recorded("fresh-classifier").excluded)
    assert plain(formulas(recorded("fresh-classifier"))[0]) in expert


def test_every_method_has_a_row_with_a_rate_for_each_role() -> None:
    analysis = recorded("fresh-classifier")
    row = next(tag for tag in page("fresh-classifier").named("tr") if tag.text.startswith("default"))
    rates = [analysis.suggest(role=role) for role in Role]
    cells = "".join(f"{format_lr(rate.lr)} {format_range(rate)}" for rate in rates if rate.lr is not None)
    assert row.text.startswith(f"default{cells}This rate lies left of the lowest loss")
    names = {tag.text for tag in page("fresh-classifier").named("th") if tag.attributes.get("scope") == "row"}
    assert {item.method for item in analysis.suggestions} <= names


def test_where_no_rate_is_warranted_the_report_says_why_and_shows_no_table_of_rates() -> None:
    found = page("frozen-layers")
    assert recorded("frozen-layers").suggestion.reason in found.named("main")[0].text
    assert not [tag for tag in found.named("th") if tag.text == "Method"]


def test_code_to_scan_again_has_the_settings_of_the_scan() -> None:
    codes = [tag.text for tag in page("fresh-classifier").named("pre")]
    assert "scan = LRScan(start_lr=1e-07, end_lr=10.0, num_steps=100)" in codes[0]
    assert "model.fit(x, y, batch_size=32, epochs=2, callbacks=[scan])" in codes[0]
    assert all(compile(code, "report", "exec") for code in codes)


def test_code_to_scan_again_names_a_linear_ramp() -> None:
    curve = synthetic_curve("u-shaped")
    context = dataclasses.replace(curve.context, start_lr=1e-3, end_lr=0.1, num_steps=100, ramp="linear")
    code = Page(report_html(analyze(dataclasses.replace(curve, context=context)))).named("pre")[0].text
    assert 'scan = LRScan(start_lr=0.001, end_lr=0.1, num_steps=100, ramp="linear")' in code


def test_a_record_of_unknown_origin_gets_no_code_to_scan_again() -> None:
    curve = synthetic_curve("u-shaped")
    codes = Page(report_html(analyze(LRCurve(lr=curve.lr, loss=curve.loss), smoother="ema"))).named("pre")
    assert len(codes) == 1
    assert 'analyze(curve, smoother="ema")' in codes[0].text


def test_the_recording_is_packed_into_the_report() -> None:
    link = next(tag for tag in page("fresh-classifier").named("a") if tag.attributes.get("download") == "curve.json")
    data = (link.attributes["href"] or "").partition("base64,")[2]
    curve = LRCurve.from_dict(json.loads(base64.b64decode(data)))
    assert curve.to_dict() == recorded("fresh-classifier").curve.to_dict()


def test_a_long_recording_stays_out_and_its_plot_stays_small() -> None:
    curve = synthetic_curve("u-shaped", num_steps=30_000)
    html = report_html(analyze(curve))
    assert 'download="curve.json"' not in html
    assert "too long for this page" in html
    assert len(html) < 2_000_000


@pytest.mark.parametrize("name", SCANS)
def test_a_report_loads_and_runs_nothing(name: str) -> None:
    found = page(name)
    assert not found.named("script", "link", "iframe", "object", "embed", "base", "form")
    assert not [tag for tag in found.tags for name in tag.attributes if name.startswith("on")]
    addresses = [
        (tag.name, value or "")
        for tag in found.tags
        for name, value in tag.attributes.items()
        if name.split(":")[-1] in {"src", "srcset", "href", "data", "poster", "action"}
    ]
    assert addresses
    for tag, address in addresses:
        assert address.startswith(("#", "data:")) or (tag == "a" and address.startswith("https://")), address
    assert "@import" not in found.html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", found.html))


@pytest.mark.parametrize("name", SCANS)
def test_a_report_can_be_read_by_those_who_do_not_see(name: str) -> None:
    found = page(name)
    assert found.named("html")[0].attributes["lang"] == "en"
    assert found.named("title")[0].text
    levels = [int(tag.name[1]) for tag in found.named("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    pictures = found.named("svg")
    assert [tag.attributes["role"] for tag in pictures] == ["img", "img"]
    assert {tag.attributes["aria-label"] for tag in pictures} == {describe_plot(recorded(name))}
    assert {tag.attributes.get("scope") for tag in found.named("th")} <= {"row", "col"}


def test_names_within_the_pictures_of_a_page_are_unique_and_lead_somewhere() -> None:
    found = page("collapse")
    names = [name for tag in found.tags if (name := tag.attributes.get("id"))]
    assert len(names) == len(set(names)) > 10
    used = re.findall(r"url\(#([^)]*)\)", found.html) + re.findall(r'href="#([^"]*)"', found.html)
    assert set(used) <= set(names)


def test_every_color_of_a_picture_is_the_pages_to_choose() -> None:
    picture = svg(recorded("collapse"))
    assert re.findall(r"#[0-9a-f]{6}\b", picture) == []
    assert "var(--lrscan-bad)" in picture


def test_the_same_analysis_gives_the_same_report() -> None:
    assert report_html(recorded("fresh-classifier")) == page("fresh-classifier").html


HOSTILE = (
    "<script>alert('x')</script> \"quoted\" & {{ 7 * 7 }} {% raw %} &lt;b&gt; </style><img src=x onerror=alert(1)>"
)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="`"), min_size=1, max_size=40)


def told(words: str) -> Analysis:
    analysis = recorded("fresh-classifier")
    known: dict[str, Any] = dict.fromkeys(("optimizer", "framework", "backbone", "precision", "chance_source"), words)
    context = dataclasses.replace(
        analysis.curve.context,
        **known,
        metric_names=(words,),
        start_metrics=MappingProxyType({words: 0.5}),
        notes=(words,),
    )
    return dataclasses.replace(analysis, curve=dataclasses.replace(analysis.curve, context=context))


def structure(html: str) -> list[str]:
    return [tag.name for tag in Page(html).tags if tag.name != "a"]


def test_no_string_of_the_context_becomes_markup() -> None:
    found = Page(report_html(told(HOSTILE)))
    assert [tag.text for tag in found.named("td")].count(HOSTILE) == 6
    assert HOSTILE in [tag.text for tag in found.named("p")]
    assert structure(found.html) == structure(report_html(told("calm")))


@given(st.builds("<{}>".format, WORDS) | WORDS)
@settings(max_examples=4)  # each draws two pictures
def test_no_string_of_the_context_becomes_markup_in_a_notebook(words: str) -> None:
    found = Page(notebook_html(told(words)))
    assert [tag.text for tag in found.named("td")].count(words) >= 6
    assert structure(found.html) == structure(calm_card())


@cache
def calm_card() -> str:
    return notebook_html(told("calm"))


def test_code_and_addresses_in_a_note_are_marked_up_and_still_escaped() -> None:
    found = Page(report_html(told('`<b>x</b>` see https://example.org/a?b="><i>&c=1.')))
    assert "<b>x</b>" in [tag.text for tag in found.named("code")]
    assert "https://example.org/a?b=" in [tag.attributes["href"] for tag in found.named("a")]
    assert not found.named("b", "i")


def test_report_writes_a_file_and_returns_its_path(tmp_path: Path) -> None:
    analysis = recorded("fresh-classifier")
    written = analysis.report(tmp_path / "scan.html")
    assert written == tmp_path / "scan.html"
    assert written.read_text(encoding="utf-8") == page("fresh-classifier").html
    assert analysis.report(str(tmp_path / "scan.html")) == written
    assert [path.name for path in tmp_path.iterdir()] == ["scan.html"]


def test_a_letter_that_utf_8_has_not_does_not_stop_the_report(tmp_path: Path) -> None:
    assert "&#55357;" in told("half \ud83d a letter").report(tmp_path / "scan.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_leaves_the_old_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scan.html").write_text("old")

    def full(self: Path, target: Path) -> None:
        msg = f"No space left: {self} to {target}"
        raise OSError(msg)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        recorded("fresh-classifier").report(tmp_path / "scan.html")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("scan.html", "old")]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match=r"existing folder\. Received: path=.*Create .*nowhere first\."):
        recorded("fresh-classifier").report(tmp_path / "nowhere" / "scan.html")
    with pytest.raises(InvalidOptionError, match=r"path of a file\. Received: .*, a folder\. Add a file name"):
        recorded("fresh-classifier").report(tmp_path)


def test_without_jinja2_a_report_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match="pip install jinja2 matplotlib"):
        report_html(recorded("fresh-classifier"))


def test_a_notebook_shows_a_card_that_keeps_its_style_to_itself() -> None:
    html = recorded("fresh-classifier")._repr_html_()
    found = Page(html)
    assert found.tags[0].attributes["class"] == "lrscan-card"
    assert not found.named("html", "head", "body", "main", "script", "h1")
    style = found.named("style")[0].text
    selectors = [part.strip() for rule in style.split("}") for part in rule.partition("{")[0].split(",")]
    assert all(part.startswith(".lrscan-card") for part in selectors if part)
    text = spaced(found.tags[0].text)
    for section in sections(recorded("fresh-classifier"), level="full")[:-2]:
        assert all(plain(sentence) in text for sentence in section.sentences)
    assert len(html) < 200_000


def test_the_picture_does_not_hang_on_the_users_style() -> None:
    import matplotlib as mpl

    with mpl.rc_context({"text.color": "red", "axes.facecolor": "black", "font.size": 30}):
        assert svg(recorded("fresh-classifier")) == svg(recorded("fresh-classifier"))
        inside = svg(recorded("fresh-classifier"))
    assert inside == svg(recorded("fresh-classifier"))


def test_the_command_writes_a_report_of_a_csv_and_of_a_saved_analysis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic_curve("u-shaped").to_csv(tmp_path / "scan.csv")
    assert main(["report", str(tmp_path / "scan.csv"), "--chance-loss", "2.303"]) == 0
    assert capsys.readouterr().out == f"Report written to {tmp_path / 'scan.html'}\n"
    assert "at chance" in (tmp_path / "scan.html").read_text(encoding="utf-8")
    recorded("fresh-classifier").save(tmp_path / "scan.json")
    assert main(["report", str(tmp_path / "scan.json"), "-o", str(tmp_path / "out.html")]) == 0
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == page("fresh-classifier").html


def test_the_command_ends_with_a_sentence_where_the_folder_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic_curve("flat").to_csv(tmp_path / "scan.csv")
    assert main(["report", str(tmp_path / "scan.csv"), "-o", str(tmp_path / "no" / "scan.html")]) == 2
    assert "Create" in capsys.readouterr().err


def test_a_curve_without_a_finite_loss_has_a_report() -> None:
    broken = LRCurve(lr=[1e-3, 1e-2], loss=[float("nan")] * 2, context=ScanContext(num_classes=10))
    assert "None of the losses is finite" in report_html(analyze(broken))
