"""Build, inspect and check corpora: ``python -m datamodules.prepare``.

The rooms import what they export on first use, so ``--help`` answers at once and workers start quickly.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datamodules import banks, corpora, scores
from runtime.arguments import (
    CommandParser,
    float_within,
    int_within,
    natural_int,
    positive_float,
    positive_int,
    sample_rate_hz,
)
from runtime.errors import UserError, users_error
from runtime.messages import say
from runtime.paths import path_below, require_writable

EXAMPLES = """examples:
  python -m datamodules.prepare rendered --size demo
      tunes and chorales that come with the installation, on eight instruments of the embedded SoundFont
  python -m datamodules.prepare rendered --midi ~/maestro --excerpts 10 --soundfont ~/FluidR3_GM.sf2
      your MIDI files, played by your SoundFont
  python -m datamodules.prepare rendered --midi ~/midi --nsynth ~/nsynth-train --duration-rate 2
      your MIDI files, put together from the notes of NSynth
  python -m datamodules.prepare recordings ~/takes --track monophonic
      ~/takes/<instrument>/* or ~/takes/{train,val,test}/<instrument>/*
  python -m datamodules.prepare inspect
      what every corpus holds: splits, instruments, minutes, licences, what was skipped and why
  python -m datamodules.prepare inspect --characteristics --map map.png corpora/rendered-0123456789abcdef
      what its files are like, by split and instrument, and a map on which files that sound alike are near
  python -m datamodules.prepare verify corpora/rendered-0123456789abcdef
      read every file and compare it with its checksum

Equal options always lead to the same folder: a second call finds the corpus, resumes an interrupted build, or
makes damaged files anew. A training does all of this by itself; preparing first is only a convenience.
"""

FACTOR = float_within(0.1, 10)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an error that a user can cause is one printed sentence."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.command(options)
        return code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if (cause := users_error(error)) is None:
            raise
        say(f"error: {cause}")
        return 2
    except KeyboardInterrupt:
        say("Stopped. What is ready is kept: the same command goes on from there.")
        return 130


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    top = CommandParser(
        prog="python -m datamodules.prepare",
        description="Build, inspect and check the corpora that experiments train on.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_rendered(commands.add_parser("rendered", help="scores played on every instrument, sample-aligned"))
    _add_recordings(commands.add_parser("recordings", help="folders of recordings, one per instrument"))
    show = commands.add_parser("inspect", help="what corpora hold")
    show.add_argument("--format", choices=("table", "json"), default="table", help="json prints one document")
    show.add_argument("--characteristics", action="store_true", help="measure level, rests, brightness …")
    show.add_argument("--map", type=Path, metavar="PNG", help="draw a map: files that sound alike are near")
    show.set_defaults(command=_inspect)
    check = commands.add_parser("verify", help="compare every file with its checksum")
    check.add_argument("--discard", action="store_true", help="delete damaged files, to be made anew")
    check.set_defaults(command=_verify)
    for command in (show, check):
        command.add_argument("corpora", nargs="*", type=Path, metavar="CORPUS", help="folders; default: all")
        _add_corpora_dir(command)
    return top


def _add_corpora_dir(command: argparse.ArgumentParser) -> None:
    where = "folder of all corpora; default: %(default)s"
    command.add_argument("--corpora-dir", type=Path, default=Path("corpora"), help=where)


def _add_building(command: argparse.ArgumentParser) -> None:
    command.add_argument("--instruments", nargs="+", metavar="NAME", help="default: all usual ones")
    command.add_argument(
        "--sample-rate", type=sample_rate_hz, default=16000, metavar="HZ", help="default: %(default)s"
    )
    _add_corpora_dir(command)
    command.add_argument(
        "--workers", type=positive_int, metavar="N", help="number of processes; default: one a core"
    )
    command.add_argument("--quiet", action="store_true", help="print the corpus's folder only")


def _add_rendered(command: argparse.ArgumentParser) -> None:
    music = command.add_argument_group("scores")
    music.add_argument("--size", help="size of the embedded scores: tiny, demo, default or full")
    music.add_argument("--midi", type=Path, metavar="FOLDER", help="MIDI files, instead of embedded scores")
    music.add_argument("--seconds", type=positive_float, metavar="S", help="length of an excerpt")
    music.add_argument("--excerpts", type=positive_int, metavar="N", help="most excerpts of one MIDI file")
    music.add_argument("--tracks", nargs="+", metavar="TRACK", help="monophonic, polyphonic; default: both")
    sounds = command.add_argument_group("sounds")
    sounds.add_argument("--soundfont", type=Path, metavar="FILE", help=".sf2, or .sf3 with --fluidsynth")
    sounds.add_argument("--fluidsynth", action="store_true", help="render with FluidSynth, if installed")
    sounds.add_argument("--nsynth", type=Path, metavar="FOLDER", help="NSynth notes, instead of a SoundFont")
    sounds.add_argument(
        "--preset", type=natural_int, help="number of the NSynth instruments; default: the lowest"
    )
    sounds.add_argument("--quality", help="only NSynth notes with this quality, such as bright")
    sounds.add_argument("--elsewhere", type=Path, metavar="PATH", help="SoundFont or NSynth for the test")
    play = command.add_argument_group("performance")
    play.add_argument("--playback-speed", type=FACTOR, metavar="X", help="factor on the tempo")
    play.add_argument("--duration-rate", type=FACTOR, metavar="X", help="factor on the length of notes")
    play.add_argument(
        "--transpose", type=int_within(-127, 127), metavar="N", help="semitones that pieces are moved by"
    )
    renditions = "how often a training piece is played: as written first, then varied; default: 1"
    play.add_argument("--renditions", type=positive_int, metavar="N", help=renditions)
    play.add_argument(
        "--random-semitones", type=natural_int, metavar="N", help="largest shift of varied renditions"
    )
    tempo = "range of the factor on the tempo of varied renditions"
    play.add_argument("--random-tempo", type=FACTOR, nargs=2, metavar=("LOW", "HIGH"), help=tempo)
    play.add_argument("--seed", type=natural_int, help="seed of everything random")
    _add_building(command)
    command.set_defaults(command=_build, source=_rendered)


def _add_recordings(command: argparse.ArgumentParser) -> None:
    layout = "<root>/<instrument>/* or <root>/{train,val,test}/<instrument>/*"
    command.add_argument("root", type=Path, help=layout)
    command.add_argument("--track", help="what is played: monophonic (default) or polyphonic")
    command.add_argument("--keep-channels", action="store_true", help="keep channels apart, without mixing")
    command.add_argument(
        "--part-s", type=positive_float, metavar="S", help="longest part of a recording, in seconds"
    )
    command.add_argument("--licence", help="licence of the recordings, for the manifest")
    _add_building(command)
    command.set_defaults(command=_build, source=_recordings)


def _given(**options: Any) -> dict[str, Any]:
    """Keep only what the user gave, so that the classes' defaults decide the rest, and the address."""
    return {name: value for name, value in options.items() if value is not None}


def _rendered(options: argparse.Namespace) -> corpora.CorpusSource:
    performance = scores.Performance(
        **_given(
            playback_speed=options.playback_speed,
            duration_rate=options.duration_rate,
            transpose=options.transpose,
            random_semitones=options.random_semitones,
            random_tempo=options.random_tempo and tuple(options.random_tempo),
        )
    )
    bank = _bank(options)
    elsewhere = options.elsewhere and _bank_at(options.elsewhere)
    chosen = _given(
        instruments=options.instruments or (list(bank.instruments) if options.nsynth else None),
        tracks=options.tracks,
        renditions=options.renditions,
        seed=options.seed,
    )
    return corpora.RenderedCorpus(
        _scores(options), bank, elsewhere=elsewhere, performance=performance, **chosen
    )


def _scores(options: argparse.Namespace) -> scores.ScoreSource:
    if options.midi is None:
        if options.excerpts is not None:
            raise corpora.CorpusError("--excerpts is for MIDI files; give their folder with --midi.")
        return scores.EmbeddedScores(**_given(size=options.size, seconds=options.seconds))
    if options.size is not None:
        raise corpora.CorpusError("--size is for the embedded scores, which --midi replaces; give one.")
    return scores.MidiFolder(options.midi, **_given(seconds=options.seconds, excerpts=options.excerpts))


def _bank(options: argparse.Namespace) -> banks.Bank:
    if options.nsynth is None and (options.preset is not None or options.quality is not None):
        raise corpora.CorpusError("--preset and --quality are for NSynth; give its folder with --nsynth.")
    if options.nsynth is None:
        return (banks.FluidSynthBank if options.fluidsynth else banks.SoundFontBank)(options.soundfont)
    if options.soundfont is not None or options.fluidsynth:
        raise corpora.CorpusError("--nsynth takes the place of a SoundFont; make one of them --elsewhere.")
    return banks.NSynthBank(options.nsynth, preset=options.preset, quality=options.quality)


def _bank_at(path: Path) -> banks.Bank:
    if path.is_dir():
        return banks.NSynthBank(path)
    return (banks.FluidSynthBank if path.suffix.lower() == ".sf3" else banks.SoundFontBank)(path)


def _recordings(options: argparse.Namespace) -> corpora.CorpusSource:
    chosen = _given(
        instruments=options.instruments, track=options.track, part_s=options.part_s, licence=options.licence
    )
    return corpora.RecordingsCorpus(options.root, mix_channels=not options.keep_channels, **chosen)


def _build(options: argparse.Namespace) -> int:
    source: corpora.CorpusSource = options.source(options)
    corpus = source.prepare(options.corpora_dir, options.sample_rate, options.workers, not options.quiet)
    print(corpus.root)
    if not options.quiet:
        from datamodules.corpora.inspection import print_overview

        print_overview(corpus)
    return 0


def _for_each(options: argparse.Namespace, do: Callable[[corpora.Corpus], int]) -> int:
    """Do something with every corpus, and give the highest exit code; a damaged one does not end the work."""
    folders = options.corpora or sorted(p.parent for p in options.corpora_dir.glob("*/manifest.json"))
    if not folders:
        raise corpora.CorpusError(
            f"{options.corpora_dir} holds no complete corpus; build one with the command 'rendered'."
        )
    code = 0
    for folder in folders:
        try:
            code = max(code, do(corpora.Corpus.open(folder)))
        except UserError as error:
            say(f"error: {error}")
            code = 2
    return code


def _inspect(options: argparse.Namespace) -> int:
    from datamodules.corpora.characteristics import by_instrument, measure_items, save_map
    from datamodules.corpora.inspection import description, print_characteristics, print_overview

    if options.map:
        require_writable(options.map)
        if len(options.corpora) != 1:
            raise corpora.CorpusError("--map draws one corpus: name its folder.")
    documents = []

    def show(corpus: corpora.Corpus) -> int:
        files = measure_items(corpus, corpus.items) if options.characteristics or options.map else []
        if options.map and files:
            save_map(options.map, files)
        documents.append(description(corpus, by_instrument(files)))
        if options.format == "table":
            print_overview(corpus)
            if options.characteristics:
                print_characteristics(by_instrument(files))
        return 0

    code = _for_each(options, show)
    if options.format == "json":
        print(json.dumps(documents, indent=2, ensure_ascii=False))
    return code


def _verify(options: argparse.Namespace) -> int:
    from datamodules.corpora.inspection import damaged_files

    def verify(corpus: corpora.Corpus) -> int:
        # All of them first: nothing is deleted where one leads out of the corpus.
        damaged = [path_below(corpus.root, p.relative_to(corpus.root)) for p in damaged_files(corpus)]
        for path in damaged:
            print(f"damaged or missing: {path}")
            if options.discard:
                path.unlink(missing_ok=True)
        print(f"{corpus.root}: {len(corpus.items) - len(damaged)} of {len(corpus.items)} files are intact")
        if damaged and not options.discard:
            say("Run the command with --discard and then prepare the corpus again: they are made anew.")
        return 1 if damaged else 0

    return _for_each(options, verify)


if __name__ == "__main__":
    sys.exit(main())
