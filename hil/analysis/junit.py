"""JUnit XML for build servers: a suite per scenario, a case per check."""

import re
from collections.abc import Sequence
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from hil.analysis.report import CaseReport, CheckReport
from hil.errors import BenchError

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What build servers know is pass, failure and error; a check that did not happen must not look green.
_FAILURES = ("FAIL", "NOT_EXERCISED", "INCONCLUSIVE")


def junit(cases: Sequence[CaseReport], out: Path) -> None:
    """Write ``out``. FAIL, NOT_EXERCISED and INCONCLUSIVE are failures of their own type, ERROR is an error.

    A case without checks becomes one test with the status of the case. Requirements and the path of the record are
    properties of the suite; the time of a test is the time of the run at which it was decided.

    Raises:
        BenchError: ``out`` cannot be written.
    """
    document = JUnitXml("cellbench")
    suites: dict[str, TestSuite] = {}
    for case in cases:
        name = case.scenario or case.case_id
        suite = suites.setdefault(name, TestSuite(_clean(name)))
        known = {(item.name, item.value) for item in suite.properties()}  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        wanted = [("requirement", text) for text in case.requirements] + [("record", case.record.as_posix())]
        for key, text in wanted:
            if (key, _clean(text)) not in known:
                suite.add_property(key, _clean(text))
        checks = case.checks or (CheckReport("run", case.status, case.reason or "no check was judged"),)
        for check in checks:
            suite.add_testcase(_test(case, check))
    for suite in suites.values():
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        document.write(str(out), pretty=True)
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror}") from error


def _test(case: CaseReport, check: CheckReport) -> TestCase:
    test = TestCase(_clean(check.id), classname=_clean(case.case_id), time=check.time_s or 0.0)
    if check.status in _FAILURES:
        test.result = [Failure(_clean(check.reason), check.status)]
    elif check.status != "PASS":
        test.result = [Error(_clean(check.reason), _clean(check.status))]
    return test


def _clean(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("?", text)
