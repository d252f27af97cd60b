"""`python docs/build.py`: the documentation as static pages in site/; fails on a broken link."""  # noqa: INP001

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import jinja2
from commands import reference
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
#: Folders of docs in the order of reading, with what they hold.
ROOMS = {
    "tutorial": "Tutorial",
    "how-to": "How-to guides",
    "reference": "Reference",
    "explanation": "Explanation",
    "adr": "Decisions",
}
#: Pages that stand at the top of the repository and are shown with the docs.
TOP = {"CHANGELOG.md": "changelog.html", "CONTRIBUTING.md": "contributing.html"}


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        source: File of Markdown.
        target: Place of the page within the site.
        title: Text of the first heading.
        tokens: The page, parsed.
        anchors: Names of its headings, as links write them.
    """

    source: Path
    target: str
    title: str
    tokens: list[Token]
    anchors: frozenset[str]


def parse(source: Path, target: str) -> Page:
    """Return a page with a name for each of its headings."""
    tokens = _markdown().parse(source.read_text(encoding="utf-8"))
    anchors: list[str] = []
    title = source.stem
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            text = "".join(child.content for child in tokens[place + 1].children or [])
            name = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
            name = f"{name}-{anchors.count(name)}" if name in anchors else name
            anchors.append(name)
            token.attrSet("id", name)
            title = text if token.tag == "h1" else title
    return Page(source, target, title, tokens, frozenset(anchors))


def pages() -> list[Page]:
    """Return every page of the site."""
    found = [parse(path, path.relative_to(DOCS).with_suffix(".html").as_posix()) for path in sorted(DOCS.rglob("*.md"))]
    return found + [parse(ROOT / name, target) for name, target in TOP.items()]


def broken_links(every: list[Page], extra: tuple[Path, ...] = ()) -> list[str]:
    """Return what is wrong with the links of pages, one line for each; links to other sites are not followed.

    Args:
        every: Pages of the site.
        extra: Files of Markdown that are not in the site; their links may lead to any file of the repository.
    """
    by_source = {page.source: page for page in every}
    others = [parse(path, "") for path in extra]
    faults = []
    for page in [*every, *others]:
        for href in _links(page.tokens):
            parts = urlsplit(href)
            if parts.scheme or parts.netloc:
                continue
            there = (page.source.parent / unquote(parts.path)).resolve() if parts.path else page.source
            known = by_source.get(there) or (page if there == page.source else None)
            where = f"{page.source.relative_to(ROOT)}: {href}"
            if not there.is_file():
                faults.append(f"{where} leads nowhere")
            elif known is None and page.target and not _is_asset(there):
                faults.append(f"{where} is not part of the site")
            elif parts.fragment and known is not None and parts.fragment not in known.anchors:
                faults.append(f"{where} names no heading")
    return faults


def write_site(every: list[Page], out: Path) -> None:
    """Write the pages, and the pictures they show, to a folder that is emptied first."""
    shutil.rmtree(out, ignore_errors=True)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DOCS), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("page.html")
    by_source = {page.source: page for page in every}
    for page in every:
        here = (out / page.target).parent
        here.mkdir(parents=True, exist_ok=True)
        _point(page, by_source)
        body = _markdown().renderer.render(page.tokens, _markdown().options, {})
        rooms = [
            (title, [(other.title, _relative(other.target, page.target), other is page) for other in inside])
            for title, inside in _rooms(every)
        ]
        text = template.render(
            title=page.title, body=_scrolling(body), rooms=rooms, home=_relative("index.html", page.target)
        )
        (out / page.target).write_text(text, encoding="utf-8")
    for path in DOCS.rglob("*"):
        if _is_asset(path):
            (out / path.relative_to(DOCS)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / path.relative_to(DOCS))


def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _links(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        for name in ("href", "src"):
            if name in token.attrs:
                yield str(token.attrs[name])
        yield from _links(token.children or [])


def _point(page: Page, by_source: dict[Path, Page]) -> None:
    """Turn links between files of Markdown into links between pages."""
    todo = list(page.tokens)
    while todo:
        token = todo.pop()
        todo += token.children or []
        parts = urlsplit(str(token.attrs.get("href", "")))
        if parts.path and not parts.scheme:
            there = by_source.get((page.source.parent / unquote(parts.path)).resolve())
            if there is not None:
                mark = f"#{parts.fragment}" if parts.fragment else ""
                token.attrSet("href", _relative(there.target, page.target) + mark)


def _relative(target: str, page: str) -> str:
    return Path(os.path.relpath(target, Path(page).parent)).as_posix()


def _rooms(every: list[Page]) -> Iterator[tuple[str, list[Page]]]:
    for folder, title in ROOMS.items():
        yield title, [page for page in every if page.target.startswith(f"{folder}/")]
    yield "Project", [page for page in every if page.target in TOP.values()]


def _is_asset(path: Path) -> bool:
    return path.suffix in {".png", ".svg", ".jpg"} and path.is_relative_to(DOCS)


def _scrolling(body: str) -> str:
    """Let wide tables and code scroll by themselves, also with the keyboard."""
    body = body.replace("<table>", '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>')
    return body.replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')


def main() -> int:
    """Write the reference of the commands and the site; return 1 where a link is broken."""
    (DOCS / "reference" / "cli.md").write_text(reference(), encoding="utf-8")
    every = pages()
    faults = broken_links(every, (ROOT / "README.md",))
    if faults:
        sys.stderr.write("".join(f"{fault}\n" for fault in faults))
        return 1
    write_site(every, ROOT / "site")
    sys.stdout.write(f"{len(every)} pages in site/; open site/index.html\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
