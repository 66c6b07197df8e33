"""junit.xml, read back by the parser of the standard library."""

import xml.etree.ElementTree as ET
from pathlib import Path

from hil.analysis.junit import junit
from hil.analysis.report import CaseReport, CheckReport


def case(name: str, *checks: CheckReport, status: str = "FAIL", reason: str = "") -> CaseReport:
    return CaseReport(
        name, Path("out") / f"{name}.mcap", status, checks, "a scenario", ("BMS-1", "ISO 6469-1"), reason=reason
    )


def written(tmp_path: Path, *cases: CaseReport) -> ET.Element:
    junit(cases, tmp_path / "deep" / "junit.xml")
    return ET.parse(tmp_path / "deep" / "junit.xml").getroot()


def test_a_suite_per_scenario_and_a_case_per_check(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        case("a", CheckReport("OV-3", "PASS", time_s=1.5), CheckReport("OV-4", "PASS")),
        case("b", status="PASS"),
    )
    suite = root.find("testsuite")
    assert suite is not None
    assert suite.get("name") == "a scenario"
    assert [(t.get("classname"), t.get("name")) for t in suite.iter("testcase")] == [
        ("a", "OV-3"), ("a", "OV-4"), ("b", "run"),
    ]  # fmt: skip
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "3",
        "0",
        "0",
        "0",
    )
    assert float(next(suite.iter("testcase")).get("time", "")) == 1.5


def test_what_did_not_happen_is_a_failure_of_its_own_type_and_never_green(tmp_path: Path) -> None:
    checks = [
        CheckReport(s.lower(), s, f"because {s}") for s in ("PASS", "FAIL", "NOT_EXERCISED", "INCONCLUSIVE", "ERROR")
    ]
    root = written(tmp_path, case("a", *checks))
    told = {t.get("name"): [(r.tag, r.get("type"), r.get("message")) for r in t] for t in root.iter("testcase")}
    assert told == {
        "pass": [],
        "fail": [("failure", "FAIL", "because FAIL")],
        "not_exercised": [("failure", "NOT_EXERCISED", "because NOT_EXERCISED")],
        "inconclusive": [("failure", "INCONCLUSIVE", "because INCONCLUSIVE")],
        "error": [("error", "ERROR", "because ERROR")],
    }
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("3", "1")


def test_requirements_and_records_are_properties_of_the_suite_once(tmp_path: Path) -> None:
    root = written(tmp_path, case("a", CheckReport("x", "PASS")), case("b", CheckReport("x", "PASS")))
    assert [(p.get("name"), p.get("value")) for p in root.iter("property")] == [
        ("requirement", "BMS-1"), ("requirement", "ISO 6469-1"), ("record", "out/a.mcap"), ("record", "out/b.mcap"),
    ]  # fmt: skip


def test_a_case_that_never_got_to_its_checks_is_an_error_with_its_reason(tmp_path: Path) -> None:
    root = written(tmp_path, case("a", status="ERROR", reason="the disk is full"))
    result = next(root.iter("error"))
    assert result.get("message") == "the disk is full"


def test_text_that_xml_cannot_hold_does_not_break_the_file(tmp_path: Path) -> None:
    root = written(tmp_path, case("a", CheckReport("x", "FAIL", "bell \x07 nul \x00 <tag> & \ud800")))
    assert next(root.iter("failure")).get("message") == "bell ? nul ? <tag> & ?"
