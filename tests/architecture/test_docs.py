"""The documents say everything there is, and name only what exists."""

import re
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from hil.checks.expression import FUNCTIONS
from hil.checks.verdict import Status
from hil.cli import main
from hil.errors import ExitCode
from hil.faults.catalogue import KINDS
from hil.files import Strict, json_schema
from hil.image import REQUESTS
from hil.records.layout import SCHEMAS
from hil.scenario import schema
from hil.virtual.bms import defects

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
SCENARIO = (REFERENCE / "scenario.md").read_text()
CLI = (REFERENCE / "cli.md").read_text()
README = (ROOT / "README.md").read_text()
MODELS = sorted(
    (m for m in vars(schema).values() if isinstance(m, type) and issubclass(m, Strict) and m is not Strict),
    key=lambda m: m.__name__,
)
FIELDS = [(m.__name__, f.alias or name) for m in MODELS for name, f in m.model_fields.items()]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def shown(name: str, text: str) -> bool:
    """Whether ``name`` stands in ``text`` as code: alone between backticks, or as a key in a code example."""
    return re.search(rf"`{re.escape(name)}`|(?<![\w.]){re.escape(name)}: ", text) is not None


def test_there_are_models_to_document() -> None:
    assert len(MODELS) > 10
    assert all(issubclass(m, BaseModel) for m in MODELS)


@pytest.mark.parametrize(("model", "field"), FIELDS)
def test_every_field_of_scenario_and_bench_files_is_documented(model: str, field: str) -> None:
    assert shown(field, SCENARIO), f"{model}.{field} is not in docs/reference/scenario.md"


@pytest.mark.parametrize("kind", [k.name for k in KINDS])
def test_every_kind_of_fault_is_documented_with_its_point_and_arguments(kind: str) -> None:
    line = next((x for x in SCENARIO.splitlines() if x.startswith(f"| `{kind}` |")), "")
    found = next(k for k in KINDS if k.name == kind)
    assert f"| {found.point.name} |" in line
    assert all(f"`{argument}`" in line for argument in found.needs)


def test_every_action_verdict_function_and_request_is_documented() -> None:
    for action in schema.ACTIONS:
        assert f"| `{action}` |" in SCENARIO
    for status in Status:
        assert f"| {status.value} |" in SCENARIO
    for function in FUNCTIONS:
        assert f"{function}(" in SCENARIO
    for request in REQUESTS:
        assert request in SCENARIO


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_documented_with_every_option(command: str) -> None:
    start = CLI.index(f"## `hil {command}")
    section = CLI[start : CLI.find("\n## ", start + 1)]
    for parameter in main.commands[command].params:
        if isinstance(parameter, click.Option):
            assert any(option in section for option in parameter.opts), f"hil {command} {parameter.opts}"


def test_every_documented_command_exists() -> None:
    pages = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:`|\n|&& )hil ([a-z]+)\b", pages))
    assert named
    assert named <= set(main.commands)


def test_every_seeded_defect_is_documented_and_every_documented_one_exists() -> None:
    table = CLI[CLI.index("## Seeded defects") :]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {d.name for d in defects.DEFECTS.values()}


def test_every_exit_code_and_record_topic_is_documented() -> None:
    codes = (REFERENCE / "exit-codes.md").read_text()
    assert all(f"| {int(code)} |" in codes for code in ExitCode)
    record = (REFERENCE / "record.md").read_text()
    assert all(f"| `{topic}` |" in record for topic in SCHEMAS)


def test_the_committed_schemas_are_what_the_models_say() -> None:
    for name, model in (("scenario", schema.Scenario), ("bench", schema.BenchFile)):
        committed = (REFERENCE / f"{name}.schema.json").read_text()
        again = "hil schema" + (" --bench" if name == "bench" else "")
        assert committed == json_schema(model), f"docs/reference/{name}.schema.json is old: write it again with {again}"


def test_every_path_in_the_readme_exists() -> None:
    paths = re.findall(r"`((?:hil|dbc|scenarios|tools|docs|tests)/[\w./-]*)`", README)
    assert len(paths) > 25
    assert [p for p in paths if not (ROOT / p).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{page.name}: {target}"


def test_the_architecture_page_names_files_that_exist_and_every_layer() -> None:
    text = (DOCS / "architecture.md").read_text()
    paths = re.findall(r"`((?:hil|tools|scenarios|dbc)/[\w./-]*)`", text)
    assert [p for p in paths if not (ROOT / p).exists()] == []
    rooms = {
        p.stem if p.suffix else p.name for p in (ROOT / "hil").iterdir() if p.suffix in ("", ".py") and p.name[0] != "_"
    }
    assert {room for room in rooms if f"`{room}`" not in text} == set()


def test_the_scenario_in_the_readme_is_a_part_of_the_shipped_one() -> None:
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    shipped = (ROOT / "scenarios" / "cell_overvoltage.yaml").read_text().splitlines()
    assert [line for line in example[1].splitlines() if line not in shipped] == []


def test_the_scenario_of_the_tutorial_has_no_errors(tmp_path: Path) -> None:
    from hil.assemble import problems_of

    example = re.search(r"```yaml\n(.*?)```", (DOCS / "tutorial.md").read_text(), re.DOTALL)
    assert example is not None
    text = (
        example[1].replace("packs/", f"{ROOT}/scenarios/packs/") + f"bms: {ROOT}/scenarios/bms/reference.limits.yaml\n"
    )
    path = tmp_path / "my_first.yaml"
    path.write_text(text)
    assert problems_of(path, None) == []
