"""Mistakes that files tell, and what is right and must pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.command_line import catalogue
from experiments.command_line.checking import check
from experiments.command_line.resolver import resolve, scales
from runtime.errors import UserError
from tests.conftest import ROOT, SIXTH

DATA, MODEL = "--data.init_args", "--model.init_args"


@pytest.mark.parametrize("scale", scales())
@pytest.mark.parametrize("experiment", catalogue.experiments(), ids=lambda experiment: experiment.name)
def test_what_is_shipped_is_right(experiment: catalogue.Experiment, scale: str) -> None:
    check(resolve(["--config", experiment.name, "--scale", scale]))


@pytest.mark.parametrize(
    "options",
    [
        [f"{DATA}.target_instruments", "[flute]"],
        [f"{DATA}.test_clip_s", "null"],
        ["--data.segment_s", "2"],  # a command line may leave init_args out
        [f"{MODEL}.optimizer", "torch.optim.SGD"],
        [f"{MODEL}.optimizer.class_path", "torch.optim.SGD", f"{MODEL}.optimizer.init_args.momentum", ".9"],
        [f"{MODEL}.optimizer.init_args.lr", "1e-3"],  # which is a text in YAML
        [f"{MODEL}.network.decoder.hidden_size", "64"],
        ["--trainer.callbacks+", "callbacks.disentanglement.Disentanglement"],
        ["--trainer.devices", "[0, 1]", "--trainer.precision", "bf16-mixed", "--trainer.max_steps", "-1"],
        ["--trainer.devices=-1", "--trainer.fast_dev_run", "3", "--trainer.limit_val_batches", "0.5"],
        ["--trainer.logger", "false", "--trainer.profiler", "simple", "--seed_everything", "true"],
        ["--curriculum.points.loss_weights.adversarial", "null", "--ema_decay", "0.9"],
        ["--ckpt_path", "best", "--weights_only", "true", "--print_config"],
        [
            *(f"{DATA}.corpus.class_path", "datamodules.corpora.recordings.RecordingsCorpus"),
            *(f"{DATA}.corpus.init_args.root", "~/takes", "--checkpoint.monitor", "val/mfcc_distance"),
        ],
    ],
)
def test_what_is_right_passes(options: list[str]) -> None:
    check(resolve(["--config", "ddsp", *options]))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--trainr.max_steps 3", "There is no key 'trainr'. Did you mean 'trainer'?"),
        ("--trainer.max_step 3", "There is no key 'max_step' in trainer. Did you mean 'max_steps'?"),
        ("--batch_size 3", "There is no key 'batch_size'. Did you mean 'data.init_args.batch_size'?"),
        (
            f"{DATA}.target_instrument [flute]",
            "There is no key 'target_instrument' in data.init_args. Did you mean 'target_instruments'?",
        ),
        (f"{DATA}.target_instruments flute", "must be a list, such as [flute], not 'flute'."),
        (f"{DATA}.batch_size 0", "data.init_args.batch_size must be a positive whole number, not 0."),
        (f"{DATA}.batch_size 3.5", "must be a positive whole number, not 3.5."),
        (f"{DATA}.segment_s nan", "data.init_args.segment_s must be a positive number, not 'nan'."),
        (f"{DATA}.segment_s .inf", "must be a positive number, not inf."),
        (f"{DATA}.sample_rate 0", "must be a whole number from 1000 to 768000 Hz, not 0."),
        (f"{DATA}.tracks [monophonic,poly]", "one of monophonic, polyphonic"),
        (f"{DATA}.corpus.class_path datamodules.corpora.RecordingCorpus", "Did you mean 'RecordingsCorpus'?"),
        (f"{DATA}.corpus.class_path nowhere.Corpus", "there is no module 'nowhere'."),
        (f"{DATA}.corpus 3", "data.init_args.corpus must be a class_path with its init_args, not 3."),
        (f"{MODEL}.optimizer.init_args.lr nan", "optimizer.init_args.lr must be 0 or more, not 'nan'."),
        (f"{MODEL}.optimizer.init_args.lrr 1", "Did you mean 'lr'?"),
        (f"{MODEL}.loss_weights.articulation_pich 1", "Did you mean 'articulation_pitch'?"),
        (f"{MODEL}.loss_weights.articulation_pitch high", "must be a finite number, not 'high'."),
        (f"{MODEL}.network.init_args.decoder.init_args.hidden_size many", "must be a whole number"),
        ("--model lightning_modules.DDSPModul", "Did you mean 'DDSPModule'?"),
        ("--trainer.max_steps -5", "trainer.max_steps must be a whole number, or -1 for no limit, not -5."),
        ("--trainer.devices 0", "trainer.devices must be a number of devices above 0"),
        ("--trainer.accelerator gpuu", "must be one of auto, cpu, gpu, cuda, mps, tpu, not 'gpuu'."),
        ("--trainer.precision bf16-true", "spectra and phases in 16 bits"),
        ("--trainer.accumulate_grad_batches 0", "must be a positive whole number, not 0."),
        ("--trainer.gradient_clip_val -1.0", "must be a positive number, not -1.0."),
        ("--trainer.callbacks+=callbacks.Disentanglemen", "Did you mean 'Disentanglement'?"),
        ("--checkpoint.monitr val/loss", "Did you mean 'monitor'?"),
        ("--checkpoint.mode maximum", "checkpoint.mode must be one of min, max, not 'maximum'."),
        ("--ema_decay 1.0", "ema_decay must be a number between 0 and 1, such as 0.999, not 1.0."),
        ("--seed_everything -1", "must be a whole number from 0 to 4294967295, not -1."),
        ("--compile maybe", "compile must be true or false, not 'maybe'."),
        ("--curriculum 3", "curriculum must be a mapping of keys to values, not 3."),
        ("--model null", "The config has no model: say its class in the key model.class_path."),
        ("--run_name ../../x", "run_name must be a name in one line, without /, not '../../x'."),
        ("--experiment /tmp/x", "experiment must be a name in one line"),
        ("flute", "'flute' belongs to no option; options are written --KEY VALUE."),
    ],
)
def test_a_mistake_is_one_sentence(options: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        check(resolve(["--config", "ddsp", *options.split(" ")]))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_arguments_belong_to_the_class_of_their_own_layer(tmp_path: Path) -> None:
    """The arguments of a class that a later file exchanges are no mistake there."""
    mine = tmp_path / "mine.yaml"
    decoder = "{class_path: lightning_modules.ddsp.decoders.DilatedDecoder}"
    mine.write_text(f"base: ddsp\nmodel: {{init_args: {{network: {{init_args: {{decoder: {decoder}}}}}}}}}\n")
    check(resolve(["--config", str(mine)]))
    with pytest.raises(UserError, match=r"no key 'hidden_size' in .*decoder"):
        check(resolve(["--config", str(mine), f"{MODEL}.network.decoder.hidden_size", "64"]))


def test_a_class_whose_arguments_are_not_written_out_takes_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_elsewhere.py").write_text("class Data(unknown_to_this_file.Data):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    check(resolve(["--config", str(SIXTH), "--data", "made_elsewhere.Data", "--data.any_thing", "3"]))


@pytest.mark.parametrize("command", ["fit --trainer.max_step 3", "fit --help", "lr_find -h", "new torch"])
def test_what_files_tell_imports_nothing_heavy(command: str) -> None:
    code = (
        "import sys; from experiments.run import main; from runtime.errors import UserError\n"
        f"try: main({[*command.split(), '--config', 'ddsp'] if 'new' not in command else command.split()})\n"
        "except UserError: pass\n"
        "assert not {'lightning', 'torch', 'mlflow', 'librosa', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
