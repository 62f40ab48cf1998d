"""First guesses for a sweep's learning rates, from the experiment's range test."""

from __future__ import annotations

import json
from pathlib import Path

from callbacks.tracking.mlflow_store import RUN_CONTEXT
from runtime.errors import UserError
from sweeps.processes import Job
from sweeps.spaces import Space

N_BATCHES = 100
"""Of each of the test's trainings: rough, but about as long as a short trial."""


def wants_rates(space: Space) -> bool:
    """Whether a key of the space asks for a suggestion."""
    return any(distribution.range_test for distribution in space.distributions.values())


def suggested_rates(fit: list[str], space: Space, folder: Path, sweep: str) -> dict[str, float]:
    """Run the range test; the suggested rate of each key that asks for one, where the test has one.

    Args:
        fit: arguments of `experiments.run` that all trials share.
        space: what is searched.
        folder: of the sweep; the test is a run of its own below it.
        sweep: name of the study.

    Raises:
        UserError: the test failed, or a key names an optimizer that the experiment does not have.
    """
    where = ["--runs_dir", str(folder), "--run_name", "range_test"]
    arguments = ["lr_find", *fit, *where, "--range_test.n_batches", str(N_BATCHES)]
    output = folder / "range_test.log"
    job = Job(arguments, output, {RUN_CONTEXT: json.dumps({"sweep": sweep})})
    try:
        while not job.wait(1.0):
            pass
    finally:
        job.stop()
    if job.failed:
        raise UserError(f"The range test failed: {job.last_words()} All of it is in {output}.")
    [path] = folder.glob("*/range_test/lr_find.json")
    return read_suggestions(path, space)


def read_suggestions(path: Path, space: Space) -> dict[str, float]:
    """The suggestions of a range test for the keys of a space, brought into its limits.

    With several optimizers the more careful one counts: alone, a discriminator takes rates that explode
    when the generator learns too.
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
