"""docs/library.md is right: its code blocks run in their order, as they stand there, in one namespace."""

import re

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "library.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_blocks_of_the_library_page_run(workplace, tiny_corpus, tiny_corpora_dir):
    (workplace / "corpora").symlink_to(tiny_corpora_dir)  # so that the corpus of the page is found, not built
    page = PAGE.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(page))
    assert len(blocks) == page.count("```python")
    namespace: dict[str, object] = {"__name__": "docs_library"}
    for block in blocks:
        line = page.count("\n", 0, block.start(1))
        code = compile("\n" * line + block[1], str(PAGE), "exec")  # errors name the line of the page
        exec(code, namespace)
    assert namespace["corpus"].address == tiny_corpus.address
