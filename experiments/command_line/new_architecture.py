"""``python -m experiments.run new NAME``: write a new architecture, which trains as it stands, to change.

The package is the smallest one that the suite can train: one learned filter for each instrument.
docs/adding-an-architecture.md goes through its files.
"""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from string import Template

from experiments.command_line.catalogue import experiments
from runtime.arguments import CommandParser
from runtime.errors import UserError

TEMPLATES = Path(__file__).parents[1] / "templates"
SUFFIX = ".template"
NAMED = {"config.yaml": "{}.yaml", "test.py": "test_{}.py"}
"""Files that are called after the architecture."""
NEXT = """\
{name}/ is a package with its config, a search space and a test; it is trained from this folder:
  python -m experiments.run fit --config {name}/{name}.yaml --trainer.max_steps 200
  python -m pytest {name}
docs/adding-an-architecture.md says what each file is for."""


def main(options: list[str]) -> int:
    """Write the package into the working directory."""
    parser = CommandParser("python -m experiments.run new", description="Begin a new architecture.")
    parser.add_argument("name", metavar="NAME", help="of the package: small letters, digits and _")
    name = parser.parse_args(options).name
    write(name, Path.cwd())
    print(NEXT.format(name=name))
    return 0


def write(name: str, folder: Path) -> None:
    """Write all files of a new architecture into ``folder/name``.

    Raises:
        UserError: the name is no name of a package, or taken.
    """
    _require_free(name, folder)
    (folder / name).mkdir(parents=True)
    for file, text in files(name, name).items():
        (folder / name / file).write_text(text, encoding="utf-8")


def files(name: str, package: str) -> dict[str, str]:
    """The texts of all files by their names.

    Args:
        name: of the architecture.
        package: its dotted name for imports.
    """
    words = {"name": name, "Name": "".join(part.capitalize() for part in name.split("_")), "package": package}
    texts = {}
    for path in sorted(TEMPLATES.glob(f"*{SUFFIX}")):
        file = path.name.removesuffix(SUFFIX)
        template = Template(path.read_text(encoding="utf-8"))
        texts[NAMED.get(file, file).format(name)] = template.substitute(words)
    return texts


def _require_free(name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name) or keyword.iskeyword(name):
        raise UserError(
            f"'{name}' is no name for a package: begin with a small letter, and go on with small letters, "
            "digits and _."
        )
    if (folder / name).exists():
        raise UserError(f"{folder / name} is there already; choose another name.")
    if name in {experiment.path.stem for experiment in experiments()} or find_spec(name) is not None:
        raise UserError(f"The name '{name}' is taken by an experiment or a package; choose another one.")
