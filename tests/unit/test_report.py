"""The report and the plots: one file, nothing from outside, nothing lost, nothing executed that came from a file."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import record_rig as rig

from hil.analysis import report as room
from hil.analysis.charts import Mark, Signal, changes, chart, embedded, identities, thin
from hil.analysis.report import CaseReport, CheckReport, report, worst
from hil.analysis.show import plot, signals, summary
from hil.errors import BenchError, InputError
from hil.records.reader import read
from hil.records.recover import recover

EVIL = "</script><img src=x onerror=alert(1)>&\"'"


class Page(HTMLParser):
    """Elements, text and scripts of a page, by the standard library's parser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def charts(self) -> dict[str, Any]:
        made = json.loads(self.scripts[0])
        assert isinstance(made, dict)
        return made


def line(label: str = "shown.x", n: int = 3000, unit: str = "V", **more: Any) -> Signal:
    times = np.arange(n) * 0.01
    return Signal(label, unit, times, np.sin(times), **more)


def check(name: str = "OV-3", status: str = "PASS", **more: Any) -> CheckReport:
    return CheckReport(name, status, **more)


def case(*checks: CheckReport, name: str = "a case", **more: Any) -> CaseReport:
    return CaseReport(name, Path("records") / "a case.mcap", worst([c.status for c in checks]), checks, **more)


def written(tmp_path: Path, *cases: CaseReport) -> Page:
    report(cases, tmp_path / "report.html")
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_text_from_files_is_shown_and_never_executed(tmp_path: Path) -> None:
    evil = case(
        check(EVIL, "FAIL", reason=EVIL, dtc=EVIL, t0_s=1.0, t1_s=1.1, signals=[line(EVIL, labels=(EVIL,))]),
        name=EVIL, scenario=EVIL, requirements=(EVIL,), identity={EVIL: {EVIL: EVIL}},
    )  # fmt: skip
    page = written(tmp_path, evil)
    assert "img" not in [tag for tag, _ in page.tags]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert len(page.scripts) == 3
    assert page.charts()["c0-0"]["panels"][0]["series"][0]["label"] == EVIL
    assert EVIL in " ".join(page.words)


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    page = written(tmp_path, case(check(signals=[line()])))
    assert not [tag for tag, attrs in page.tags if tag in ("link", "iframe", "img", "object") or "src" in attrs]
    policy = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert str(policy[0]).startswith("default-src 'none'")


def test_every_verdict_says_its_status_in_words_with_margin_time_and_reason(tmp_path: Path) -> None:
    words = {
        "PASS": "pass", "FAIL": "fail", "NOT_EXERCISED": "not exercised", "INCONCLUSIVE": "inconclusive", "ERROR": "error"
    }  # fmt: skip
    for status, word in words.items():
        page = written(
            tmp_path, case(check("X-1", status, margin=-0.25, margin_unit="s", time_s=20.31, reason="Too late."))
        )
        text = " ".join(w.strip() for w in page.words if w.strip())
        row = text[text.index("Why") :]
        for wanted in ("X-1", word, "−250 ms", "20.310 s", "Too late."):
            assert wanted in row, (status, wanted)


def test_a_margin_of_a_pass_has_a_sign_and_an_unknown_one_is_a_dash(tmp_path: Path) -> None:
    text = " ".join(written(tmp_path, case(check(margin=0.072, margin_unit="s"), check("B", margin=None))).words)
    assert "+72 ms" in text
    assert "–" in text


def test_a_case_without_checks_is_listed_with_its_reason(tmp_path: Path) -> None:
    page = written(tmp_path, CaseReport("c", Path("c.mcap"), "ERROR", reason="The disk is full."))
    assert "The disk is full." in " ".join(page.words)


def test_the_record_is_linked_relative_to_the_report(tmp_path: Path) -> None:
    made = CaseReport("c", tmp_path / "records" / "a b#1.mcap", "PASS", [check()])
    page = written(tmp_path, made)
    assert "./records/a%20b%231.mcap" in [attrs.get("href") for _, attrs in page.tags]


def test_reaction_times_are_bars_against_the_deadline(tmp_path: Path) -> None:
    late = check(status="FAIL", t0_s=20.0, t1_s=20.05, t2_s=20.1, t3_s=20.4, deadline_s=20.2, dtc="cell_ov")
    page = written(tmp_path, case(late))
    text = " ".join(" ".join(page.words).split())
    for wanted in ("50 ms", "100 ms", "400 ms, late", "200 ms", "fault reported (cell_ov)"):
        assert wanted in text
    widths = [str(a.get("style")) for t, a in page.tags if t == "i" and "width" in str(a.get("style"))]
    assert widths == ["width:12.5%", "width:25.0%", "width:100.0%", "width:50.0%"]


def test_marks_and_first_view_of_a_chart_lie_around_the_trigger(tmp_path: Path) -> None:
    made = check(t0_s=10.0, t1_s=10.05, t3_s=10.1, deadline_s=10.2, dtc="cell_ov", signals=[line()])
    drawn = written(tmp_path, case(made)).charts()["c0-0"]
    assert [(m["kind"], m["t"]) for m in drawn["marks"]] == [
        ("t0", 10),
        ("t1", 10.05),
        ("t3", 10.1),
        ("deadline", 10.2),
    ]
    assert drawn["marks"][1]["label"] == "t1 cell_ov"
    assert drawn["focus"][0] < 10.0 < 10.2 < drawn["focus"][1] < 11.0


def test_a_band_is_drawn_around_the_values_and_unknown_stays_a_gap() -> None:
    signal = Signal("x", "V", [0.0, 1.0, 2.0], [1.0, math.nan, 3.0], 0.25)
    drawn = chart([signal], [Mark(1.0, "t0", "t0")], None)["panels"][0]["series"][0]
    assert drawn == {
        "label": "x",
        "t": [0, 1, 2],
        "v": [1, None, 3],
        "lo": [0.75, None, 2.75],
        "hi": [1.25, None, 3.25],
    }
    many = Signal("x", "V", [0.0, 1.0], [1.0, 2.0], [0.5, 1.0])
    assert chart([many], [], None)["panels"][0]["series"][0]["hi"] == [1.5, 3]


def test_signals_of_a_unit_share_a_panel_and_states_have_their_own() -> None:
    drawn = chart([line("a"), line("b", unit="A"), line("c"), line("d", labels=("OPEN", "CLOSED"))], [], None)
    assert [[s["label"] for s in p["series"]] for p in drawn["panels"]] == [["a", "c"], ["b"], ["d"]]


@pytest.mark.parametrize("n", [1, 2, 7, 99, 100, 101, 1000, 4097])
def test_thinning_keeps_extremes_ends_and_gaps(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.normal(size=n)
    values[n // 3] = math.nan
    values[n // 2] = 50.0
    values[2 * n // 3] = -50.0 if n > 3 else values[2 * n // 3]
    kept = thin(np.arange(float(n)), values, 100)
    assert {0, n - 1, n // 2} <= set(kept.tolist())
    assert n <= 3 or {n // 3, 2 * n // 3} <= set(kept.tolist())
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert len(kept) <= max(n if n <= 100 else 0, 115)


def test_thinning_keeps_the_window_of_interest_finer() -> None:
    times = np.arange(10_000) * 0.01
    kept = thin(times, np.sin(times * 50), 400, (50.0, 51.0))
    inside = kept[(times[kept] >= 50.0) & (times[kept] <= 51.0)]
    assert len(inside) >= 100
    assert len(kept) < 480


def test_a_stepped_signal_keeps_every_change() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0, math.nan, math.nan, 2.0, 2.0, 2.0])
    assert changes(values).tolist() == [0, 2, 4, 6, 8]
    assert changes(np.empty(0)).tolist() == []


def test_a_report_of_many_runs_stays_small_enough_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PAGE_POINTS", 20_000)
    checks = [check(f"C-{i}", t0_s=10.0, signals=[line(n=5000)]) for i in range(200)]
    page = written(tmp_path, case(*checks))
    points = sum(len(s["t"]) for c in page.charts().values() for p in c["panels"] for s in p["series"])
    assert points < 30_000
    assert (tmp_path / "report.html").stat().st_size < 2_000_000


def test_the_same_cases_give_the_same_page_and_an_unwritable_place_is_a_bench_error(tmp_path: Path) -> None:
    cases = [case(check(signals=[line()]))]
    report(cases, tmp_path / "a.html")
    report(cases, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(BenchError, match="cannot write"):
        report(cases, tmp_path / "a.html" / "report.html")


def test_the_worst_status_stands_for_many_and_nothing_is_never_a_pass() -> None:
    assert worst(["PASS", "INCONCLUSIVE", "FAIL", "ERROR"]) == "FAIL"
    assert worst(["PASS", "NOT_EXERCISED"]) == "NOT_EXERCISED"
    assert worst(["PASS"]) == "PASS"
    assert worst([]) == "NOT_EXERCISED"


def test_identities_that_differ_between_runs_show_all_their_values() -> None:
    one, other = {"dut": {"software": "1", "level": "L0"}}, {"dut": {"software": "2", "level": "L0"}}
    assert identities([one, other]) == [("dut", {"software": "1 | 2", "level": "L0"})]


def test_embedded_data_cannot_close_its_element_and_survives_unchanged() -> None:
    assert not re.search(r"[<>&]", str(embedded({"x": EVIL})))
    assert json.loads(str(embedded({"x": EVIL}))) == {"x": EVIL}


def test_the_summary_tells_what_is_in_a_record(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 200, events={5: "second step \x1b[31m"})
    text = summary(read(tmp_path / "r.mcap"))
    for wanted in ("complete", "level L0", "2 s, 200 ticks of 10 ms", "400 (200 received, 200 sent) of 2", "second step",
                   "scenario.yaml", "PASS", "margin 50 ms", "opened in time"):  # fmt: skip
        assert wanted in text
    assert "\x1b" not in text


def test_the_summary_of_a_cut_record_says_so_and_what_to_do(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 1000)
    content = (tmp_path / "r.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(content[: len(content) * 3 // 4])
    text = summary(read(tmp_path / "cut.mcap"))
    assert "cut off or damaged" in text
    assert "hil recover" in text
    assert "ended before they were written" in text
    recover(tmp_path / "cut.mcap", tmp_path / "new.mcap")
    assert "recovered from a damaged file" in summary(read(tmp_path / "new.mcap"))


def test_a_plot_shows_the_named_quantities_and_a_vector_by_its_name(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 50)
    record = read(tmp_path / "r.mcap")
    plot(record, ["measured.pack_current", "shown.cell_voltage", "reported.state"], tmp_path / "p.html")
    drawn = Page((tmp_path / "p.html").read_text(encoding="utf-8")).charts()["plot"]
    assert [len(p["series"]) for p in drawn["panels"]] == [1, rig.CELLS, 1]
    assert [p["unit"] for p in drawn["panels"]] == ["A", "V", ""]
    assert drawn["panels"][2]["labels"][3] == "NORMAL"


def test_unknown_names_are_all_told_with_the_nearest(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 5)
    with pytest.raises(InputError) as caught:
        signals(read(tmp_path / "r.mcap"), ["measured.pack_curent", "shown.cell_voltage[99]"])
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].nearest == "measured.pack_current"
