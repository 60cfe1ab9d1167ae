"""The documentation names what there is, and its links lead somewhere."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from celeriac.conf import Settings
from celeriac.ledger import verbs
from celeriac.ledger.states import MOVES, State, celery_state
from tests.house.source import ROOT, relative

README = ROOT / "README.md"
DOCS = [README, *sorted((ROOT / "docs").rglob("*.md"))]
LINKING = [*DOCS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "example" / "README.md"]
LIFE = ROOT / "docs" / "life-of-a-job.md"
DECISIONS = ROOT / "docs" / "decisions"

VERBS = sorted(name for name in verbs.__all__ if name.islower() and callable(getattr(verbs, name)))
FENCES = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
LINKS = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def text(path) -> str:
    return path.read_text()


def prose(path) -> str:
    """The text without code: neither a heading nor a link is one inside it."""
    return re.sub(r"`[^`\n]*`", "code", FENCES.sub("", text(path)))


def anchors(path) -> set[str]:
    """What a link may name after the `#`: the headings, as the usual renderers write them."""
    headings = re.findall(r"^#+ (.+)$", FENCES.sub("", text(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(path) -> list[str]:
    return [link for link in LINKS.findall(prose(path)) if not re.match(r"[a-z]+:", link)]


def is_broken(path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    return not target.exists() or bool(anchor and anchor not in anchors(target))


# -- settings, verbs, states


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_each_setting_has_an_entry_with_its_default(field):
    entry = re.search(
        rf"^### `{field.name}`\n\n(.*?)(?=^##|\Z)", text(DOCS[0].parent / "docs/settings.md"), re.MULTILINE | re.DOTALL
    )
    assert entry, f"docs/settings.md has no section for {field.name}"
    assert entry[1].startswith(f"Default `{field.default!r}`."), f"{field.name} is {field.default!r} in conf.py"


def test_no_setting_is_described_that_is_gone():
    described = re.findall(r"^### `([A-Z_]+)`$", text(ROOT / "docs/settings.md"), re.MULTILINE)
    assert set(described) == {field.name for field in fields(Settings)}


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_told_of(verb):
    assert verb in MOVES or verb in {"insert_waiting", "claim_ahead", "renew", "leave", "announce", "prune"}
    assert f"`{verb}`" in text(LIFE)
    assert f"`{verb}`" in text(ROOT / "docs/glossary.md")


@pytest.mark.parametrize("state", State)
def test_each_state_is_told_of_with_celerys_name(state):
    assert re.search(rf"^\| `{state}` \| {celery_state(state)}\b", text(LIFE), re.MULTILINE)
    assert f"`{state}`" in text(ROOT / "docs/glossary.md")


def test_the_table_of_moves_is_the_code():
    told = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`|nothing) \| `(\w+)` \|", text(LIFE), re.MULTILINE)
    made = {(verb, start or "", end) for verb, moves in MOVES.items() for start, end in moves}
    assert (sorted(made - set(told)), sorted(set(told) - made)) == ([], []), "(not told, not made any more)"
    assert len(told) == len(set(told))


def test_the_drawing_has_every_verb_and_state():
    [drawing] = [code for kind, code in FENCES.findall(text(LIFE)) if not kind]
    assert {*MOVES, *State} - set(re.findall(r"\w+", drawing)) == set()


@pytest.mark.parametrize(
    "word", ["job", "claim", "attempt", "outcome", "verdict", "rescue", "dead", "replay", "tick", "step"]
)
def test_the_glossary_has_each_house_word(word):
    assert re.search(rf"^\| \*\*{word}\*\* \|", text(ROOT / "docs/glossary.md"), re.MULTILINE)


# -- README, links, decisions


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_gives_the_command(command):
    commands = [line.strip() for _, code in FENCES.findall(text(README)) for line in code.splitlines()]
    assert command in commands


@pytest.mark.parametrize("path", LINKING, ids=relative)
def test_links_lead_somewhere(path):
    assert [link for link in links(path) if is_broken(path, link)] == []


def test_a_broken_link_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `page`, of links\n[here](#a-page-of-links) [gone](gone.md) [not](page.md#this)\n`[code](x)`\n")
    assert [link for link in links(page) if is_broken(page, link)] == ["gone.md", "page.md#this"]


def test_every_page_can_be_reached_from_the_readme():
    reached, ahead = set(), [README]
    while ahead:
        path = ahead.pop()
        if path not in reached and path.suffix == ".md" and path.exists():
            reached.add(path)
            ahead += [(path.parent / link.partition("#")[0]).resolve() for link in links(path) if link[0] != "#"]
    assert [relative(path) for path in DOCS if path not in reached] == []


def test_decisions_are_numbered_indexed_and_short():
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    assert links(DECISIONS / "README.md") == [page.name for page in pages]
    assert {page.name: len(text(page).splitlines()) for page in pages if len(text(page).splitlines()) > 60} == {}
