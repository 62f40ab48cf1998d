"""First guesses for the learning rates of a sweep, from a range test of the experiment."""

from __future__ import annotations

import json
from pathlib import Path

from callbacks.tracking.mlflow_store import RUN_CONTEXT
from runtime.errors import UserError
from sweeps.command_process import CommandProcess
from sweeps.spaces import Space

N_BATCHES = 100
"""Batches of each training of the test: a rough result, in about the time of a short trial."""


def wants_rates(space: Space) -> bool:
    """Whether the space has a learning rate for which it wants the suggestion of a range test."""
    return any(distribution.range_test for distribution in space.distributions.values())


def suggested_rates(fit: list[str], space: Space, folder: Path, sweep: str) -> dict[str, float]:
    """Run the range test, and return its suggestions by key; a key without a suggestion is left out.

    Args:
        fit: the arguments of `experiments.run fit` that all trials share.
        space: the search space.
        folder: the folder of the sweep, in which the test becomes a run of its own.
        sweep: name of the study.

    Raises:
        UserError: the test failed, or a key names an optimizer that the experiment does not have.
    """
    where = ["--runs_dir", str(folder), "--run_name", "range_test"]
    arguments = ["lr_find", *fit, *where, "--range_test.n_batches", str(N_BATCHES)]
    output = folder / "range_test.log"
    process = CommandProcess(arguments, output, {RUN_CONTEXT: json.dumps({"sweep": sweep})})
    try:
        while not process.wait(1.0):
            pass
    finally:
        process.stop()
    if process.failed:
        raise UserError(f"The range test failed: {process.last_words()} All of it is in {output}.")
    [path] = folder.glob("*/range_test/lr_find.json")
    return read_suggestions(path, space)


def read_suggestions(path: Path, space: Space) -> dict[str, float]:
    """Read the suggestions of a range test for the keys of a space, clipped to the limits of the space.

    With several optimizers the lower suggestion is used: trained alone, a discriminator tolerates rates at
    which its loss explodes when the generator learns too.
    """
    found: dict[str, list[float]] = {}
    for name, curve in json.loads(path.read_text(encoding="utf-8")).items():
        rates = found.setdefault(name.rpartition(" ")[0], [])
        if curve["suggestion"] is not None:
            rates.append(curve["suggestion"])
    suggestions = {}
    for key, distribution in space.distributions.items():
        if distribution.range_test is None:
            continue
        if distribution.range_test not in found:
            raise UserError(
                f"{space.path} names {distribution.range_test} as what the optimizer of {key} trains, but "
                f"the range test found {', '.join(found)}."
            )
        if rates := found[distribution.range_test]:
            suggestions[key] = distribution.clipped(min(rates))
    return suggestions
