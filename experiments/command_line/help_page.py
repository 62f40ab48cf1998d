"""``--help`` of the commands that train and test: the options that people use, without importing anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

PURPOSES = {
    "fit": "Train an experiment, then test its best checkpoint.",
    "validate": "Measure a checkpoint on the validation clips, and time its transfers.",
    "test": "Measure a checkpoint on the test clips.",
    "predict": "Write the transfers of the test clips as WAV files.",
    "lr_find": "Find learning rates with a range test; nothing is kept of what it trains.",
    "anchors": "Test all anchors, which are transfers without training, on the data of an experiment.",
}
"""What each command does."""
TRAINING, CHECKPOINTS, RANGES = ("fit", "lr_find"), ("fit", "validate", "test", "predict"), ("lr_find",)
EXAMPLES = {
    "fit": ("--config ddsp --recordings ~/takes --target guitar", "--config ddsp --ckpt_path last"),
    "validate": ("--config ddsp --ckpt_path best",),
    "test": ("--config ddsp --ckpt_path best", "--config copy"),
    "predict": ("--config ddsp --ckpt_path best --predictions.output transfers",),
    "lr_find": ("--config pix2pix", "--config pix2pix --range_test.highest 0.1"),
    "anchors": ("--config ddsp",),
}


class Line(NamedTuple):
    """An option and what it does."""

    option: str
    meaning: str
    commands: Sequence[str] = tuple(PURPOSES)
    """The commands that have it."""


LINES = (
    Line("--config NAME", "an experiment or a YAML file; of several, a later one wins"),
    Line("--scale SCALE", "demo (minutes on a CPU, the default) or paper (as in the documents)"),
    Line("--recordings DIR", "your recordings as the corpus: DIR/guitar/*.wav, DIR/flute/…"),
    Line("--target INSTRUMENT", "the instrument to play"),
    Line("--ckpt_path CKPT", "best or last of the latest run, a run's name, or a file", CHECKPOINTS),
    Line("--data.init_args.source_instruments [A,B]", "instruments to transfer from"),
    Line("--data.init_args.corpora_dir DIR", "where corpora are built and found again (corpora)"),
    Line("--trainer.max_steps N", "length of the training in steps of the optimizers", TRAINING),
    Line("--trainer.max_time DD:HH:MM:SS", "time after which the training ends at the latest", TRAINING),
    Line("--trainer.accelerator NAME", "cpu, gpu or mps; auto takes the fastest there is"),
    Line("--trainer.devices N", "how many of them; each is a process of its own"),
    Line("--trainer.precision NAME", "32-true, bf16-mixed or 16-mixed", TRAINING),
    Line("--ema_decay SHARE", "average the weights, such as 0.999", TRAINING),
    Line("--seed_everything N", "seed of all that is random (0)"),
    Line("--range_test.lowest RATE", "the rate that the test begins with", RANGES),
    Line("--range_test.highest RATE", "the rate that it ends with", RANGES),
    Line("--range_test.n_batches N", "how many batches it takes", RANGES),
    Line("--runs_dir DIR", "where the folders of runs are (runs)"),
    Line("--run_name NAME", "name of the run (time, scale and seed)", CHECKPOINTS),
    Line("--print_config", "print every key and its value, and end"),
    Line("--help-all", "print every option of trainer and callbacks, and end"),
)


def page(command: str) -> str:
    """The help of a command."""
    call = f"python -m experiments.run {command}"
    lines = [line for line in LINES if command in line.commands]
    width = max(len(line.option) for line in lines)
    return "\n".join(
        [
            f"usage: {call} --config NAME [--KEY VALUE ...]",
            "",
            PURPOSES[command],
            "",
            *(f"  {line.option:<{width}}  {line.meaning}" for line in lines),
            "",
            "Every key of a config is an option. `python -m experiments.run` lists the experiments.",
            "",
            "examples:",
            *(f"  {call} {example}" for example in EXAMPLES[command]),
        ]
    )
