"""What README, CONTRIBUTING and docs/ name exists: links, headings, files, modules and experiments."""

import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

from experiments.command_line.catalogue import find
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.(?:py|md|yaml|sbatch|toml|lock|png|html)")
MODULE = re.compile(r"python -m ((?:experiments|datamodules|metrics|sweeps|tests)[\w.]*)")
DOTTED = re.compile(r"\b((?:callbacks|datamodules|metrics|lightning_modules|sweeps|runtime)(?:\.\w+)+)")
EXPERIMENT = re.compile(r"experiments\.run \w+ +--config ([\w/]+)(?=[\s`]|$)")
PACKAGES = [
    ROOT / name
    for name in (
        "lightning_modules",
        "datamodules",
        "metrics",
        "callbacks",
        "sweeps",
        "runtime",
        "experiments",
    )
]
MADE_WHEN_RUN = {
    *("config.yaml", "test_config.yaml", "histories.png", "leaderboard.html", "runs/leaderboard.html"),
    *("ddsp_small.yaml", "setup.py", "sweeps.db", "envelope.py"),
}
"""Files that a command, or the reader, makes."""


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_to_files_and_headings_that_exist(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{relative(page)} links to {link}"
        assert not heading or heading in headings(target), f"{relative(page)} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_files_that_a_page_names_exist(page):
    for span in CODE_SPAN.findall(without_blocks(page.read_text(encoding="utf-8"))):
        if not FILE.fullmatch(span) or span in MADE_WHEN_RUN or "sixth" in span:
            continue
        roots = (ROOT, page.parent, *PACKAGES)
        found = any((root / span).exists() for root in roots) or any(
            found for package in PACKAGES for found in package.rglob(span)
        )
        assert found, f"{relative(page)} names {span}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_of_a_page_start_modules_and_experiments_that_exist(page):
    text = page.read_text(encoding="utf-8")
    for module in MODULE.findall(text):
        assert importlib.util.find_spec(module), f"{relative(page)} starts {module}"
    for experiment in EXPERIMENT.findall(text):
        assert find(experiment) or "sixth" in experiment


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_classes_and_functions_that_a_page_names_exist(page):
    for dotted in DOTTED.findall(page.read_text(encoding="utf-8")):
        if dotted in MADE_WHEN_RUN or FILE.fullmatch(dotted):
            continue
        pkgutil.resolve_name(dotted)  # ImportError or AttributeError name it


def test_every_page_can_be_reached_from_the_readme():
    linked, seen = {ROOT / "README.md"}, set()
    while linked:
        page = linked.pop()
        seen.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8")))
        linked |= {(page.parent / link).resolve() for link in links if link.endswith(".md")} - seen
    assert set(PAGES) - {ROOT / "CONTRIBUTING.md"} <= seen
