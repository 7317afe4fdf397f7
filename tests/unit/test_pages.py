"""README.md and docs/: each link leads somewhere, and each page can be found."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them: lower case, blanks to hyphens, other signs gone."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_found_from_the_readme() -> None:
    assert {page.name for page in PAGES[1:]} <= {link.removeprefix("docs/") for link in links(PAGES[0])}


def test_what_the_map_of_the_code_names_is_there() -> None:
    """`http.questions`: a module; `server.Listener`: a name in a module of that package; `app.Gateway`: a name in there."""
    page = (TOP / "docs/architecture.md").read_text()
    for package, name in re.findall(r"`([a-z_]+)\.([A-Za-z_]+)[.`]", page):
        folder, module = TOP / "gateway" / package, TOP / "gateway" / f"{package}.py"
        modules = [*folder.glob("*.py"), *([module] if module.exists() else [])]
        if modules:
            defined = re.compile(rf"^(?:class|def|async def) {name}\b|^{name}\b", re.MULTILINE)
            assert (folder / f"{name}.py").exists() or any(defined.search(each.read_text()) for each in modules), name


def test_what_a_page_shows_to_be_run_is_run() -> None:
    """A ```sh block is run where its page is named here; a ```console block is for reading."""
    runs = (TOP / "deploy/check-pages").read_text() + (TOP / "tests/integration/test_docs.py").read_text()
    shows = {page.name for page in PAGES[1:] if "\n```sh\n" in page.read_text()}
    assert {name for name in shows if name not in runs} == set()
