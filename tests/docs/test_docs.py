"""The docs are true: commands print what is shown, links lead somewhere, and nothing is left out."""

from __future__ import annotations

import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from markdown_it import MarkdownIt

from citygate import api, cli, flow, link, simulate, store, web
from citygate.api.problem import STATUS
from citygate.cli import main as program
from citygate.detection.case import SEVERITY, Action, CaseState, Severity
from citygate.errors import CitygateError
from citygate.fleet.registry import Registry
from citygate.quantity.status import Status
from citygate.reading.batch import ReadingBatch
from citygate.reading.mapping import SECTIONS
from citygate.store.city import City
from citygate.store.consumption import DAYS, HOURS
from citygate.store.records import metadata, settings_table
from citygate.store.segments import SCHEMA
from citygate.store.totals import TOTALS
from citygate.validation.admit import Limits
from citygate.validation.finding import Code
from citygate.validation.verdict import Refusal, Verdict

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
sys.path.insert(0, str(DOCS))
build, commands = importlib.import_module("build"), importlib.import_module("commands")

#: Marks the end of a command line that a test must not run: it never ends, or takes minutes.
NOT_RUN = "# not run here"
#: Only these may bear the mark.
LONG = ("make ", "citygate serve", "citygate demo", "git clone", "cd citygate", "citygate ingest in/ ", "mosquitto_pub")
SHELL = set("|<>;&*$`")


def blocks(path: Path):
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    return [(token.info.split(), token.content) for token in tokens if token.type == "fence"]


def steps(text: str):
    """Yield command, exit code and shown output of a console block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        code = re.match(r"# exits with (\d+)\n?", shown)
        yield command.strip(), int(code[1]) if code else 0, shown[code.end() :] if code else shown


class Said(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        return self.buffer.getvalue().decode()


def run(command: str, folder: Path, monkeypatch) -> tuple[int, str]:
    """Run a command: Citygate within this process, where that is the whole command, since starting it costs seconds."""
    command = re.sub(r'"\$\(cat (\S+)\)"', lambda said: shlex.quote((folder / said[1]).read_text().strip()), command)
    words = shlex.split(command)
    if words[0] != "citygate" or SHELL & set(command):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, check=False
        )
        return done.returncode, (done.stdout + done.stderr).decode()
    with monkeypatch.context() as patch:
        said = Said()
        patch.chdir(folder)
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdout", said)
        patch.setattr(sys, "stderr", said)
        try:
            program.main()
        except SystemExit as end:
            return int(end.code or 0), said.text()
    return 0, said.text()


def agrees(shown: str, said: str) -> bool:
    """Whether output is what the page shows; a line of three dots stands for any lines, dots within a line for text."""
    lines = [re.escape(line.rstrip()).replace(r"\.\.\.", ".*") for line in shown.rstrip().splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == ".*" else f"{line} *\n" for line in lines)
    return re.fullmatch(pattern, said.rstrip() + "\n") is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_do_what_the_page_says(page, tmp_path, monkeypatch):
    for info, content in blocks(page):
        if len(info) == 2 and "." in info[1]:
            (tmp_path / info[1]).write_text(content, encoding="utf-8")
        if info[:1] != ["console"]:
            continue
        for command, code, shown in steps(content):
            if command.endswith(NOT_RUN):
                assert command.startswith(LONG), f"{command}: this could be run"
                continue
            got, said = run(command, tmp_path, monkeypatch)
            assert got == code, f"{command} exits with {got}:\n{said}"
            assert not shown.strip() or agrees(shown, said), f"{command} says:\n{said}"


def test_the_installed_program_starts():
    done = subprocess.run([sys.executable, "-m", "citygate", "--help"], capture_output=True, check=False)
    assert done.returncode == 0


def test_links_lead_somewhere(tmp_path):
    every = build.pages()
    assert build.broken_links(every, (ROOT / "README.md",)) == []
    build.write_site(every, tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="https?://[^"]*\.(?:css|js|woff2?)"', page)
    inside = re.findall(r'href="([^"#:]+\.html)', page)
    assert inside
    assert all((tmp_path / "site" / href).is_file() for href in inside)


def test_a_broken_link_is_told(tmp_path):
    source = tmp_path / "page.md"
    source.write_text("# A\n[b](nowhere.md) [c](#not-here) [d](#a)\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "ROOT", tmp_path)
        found = build.broken_links([build.parse(source, "page.html")])
    assert found == ["page.md: nowhere.md leads nowhere", "page.md: #not-here names no heading"]


def test_the_reference_of_the_commands_is_of_this_program():
    told = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert told == commands.reference(), "run: make docs"


def told(*names: str) -> str:
    return "\n".join((DOCS / name).read_text(encoding="utf-8") for name in names)


def assert_all_in(names, text: str) -> None:
    assert [name for name in names if f"`{name}`" not in text] == []


def error_classes(root: type[CitygateError] = CitygateError):
    for room in (api, cli, flow, link, simulate, store, web):
        for path in sorted(Path(room.__path__[0]).rglob("*.py")):
            importlib.import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    todo = [root]
    while todo:
        todo += (found := todo.pop().__subclasses__())
        yield from (each for each in found if each.__module__.startswith("citygate."))


def test_every_error_is_told_with_its_code_and_no_other():
    text = told("reference/errors.md")
    codes = {each.code for each in error_classes()} | set(STATUS)
    assert_all_in(sorted(codes), text)
    listed = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    # Those that are no class of ours: what FastAPI and the system say.
    foreign = {"invalid_request", "not_found", "http", "internal", "file"}
    assert listed - codes == foreign


def test_every_code_of_validation_is_told():
    text = told("reference/refusals.md", "reference/rules.md", "reference/codes.md")
    assert_all_in(Refusal, text)
    assert_all_in((each.name.lower() for each in Verdict), text)
    assert_all_in(Code, text)
    assert_all_in((each.name.lower() for each in Status), text)
    assert_all_in(SEVERITY, text)
    assert_all_in([*CaseState, *Action, *(each.name.lower() for each in Severity)], text)


def test_every_column_and_table_is_told():
    text = told("reference/files.md")
    for columns in (ReadingBatch.columns, SCHEMA, Registry.columns, DAYS, HOURS, TOTALS):
        assert_all_in(columns, text)
    assert_all_in(metadata.tables, text)


def test_every_setting_is_told(tmp_path):
    text = told("reference/settings.md")
    city = City.create(tmp_path / "store")
    with city.records.connect() as connection:
        assert_all_in(connection.scalars(sa.select(settings_table.c.key)), text)
    city.close()
    assert_all_in(Limits.__dataclass_fields__, text)
    assert_all_in((f"[{name}]" for name in SECTIONS), told("reference/settings.md", "reference/mapping.md"))


def test_pages_name_no_machine_and_no_ticket():
    wrong = re.compile(r"(?<![\w.:/])/(?:home|root|Users|work)/\w|\b(?:issue|ticket) #?\d|\blocalhost:\d+/home")
    texts = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
    assert [path.name for path in texts if wrong.search(path.read_text(encoding="utf-8"))] == []


def test_numbers_of_decisions_are_unique_and_each_has_its_parts():
    decisions = sorted((DOCS / "adr").glob("0*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number:04d}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert [
            part for part in ("## Context", "## Options", "## Decision", "## Consequences") if part not in text
        ] == []
