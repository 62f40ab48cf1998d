"""Options are numbers within their ranges, and a mistake in one is a sentence that names it."""

import pytest

from runtime.arguments import (
    CommandParser,
    Number,
    fraction,
    natural_int,
    positive_float,
    positive_int,
    sample_rate_hz,
)


def parser() -> CommandParser:
    top = CommandParser()
    command = top.add_subparsers(required=True, dest="command").add_parser("build")
    for option, kind in TYPES.items():
        command.add_argument(option, type=kind)
    command.add_argument("--format", choices=("table", "json"))
    return top


TYPES: dict[str, Number] = {
    "--part-s": positive_float,
    "--workers": positive_int,
    "--preset": natural_int,
    "--share": fraction,
    "--sample-rate": sample_rate_hz,
}


@pytest.mark.parametrize(
    ("option", "bad", "wanted"),
    [
        *(("--part-s", bad, "a positive number") for bad in ("nan", "inf", "0", "-1", "a", "", "1e999")),
        *(("--workers", bad, "a positive whole number") for bad in ("0", "-3", "1.5", "nan")),
        *(("--preset", bad, "a whole number, 0 or more") for bad in ("-1", "x")),
        *(("--share", bad, "a number from 0 to 1") for bad in ("1.01", "-0.1", "nan")),
        *(("--sample-rate", bad, "a whole number from 1000 to 768000 Hz") for bad in ("0", "1", "44.1")),
    ],
)
def test_a_number_out_of_its_range_is_a_sentence_with_the_option(
    option: str, bad: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["build", f"{option}={bad}"])
    assert capsys.readouterr().err == f"error: {option} must be {wanted}, not {bad}.\n"


def test_numbers_in_their_ranges_are_read() -> None:
    chosen = parser().parse_args(
        ["build", "--part-s", "1e-3", "--workers", "2", "--share", "1", "--sample-rate", "16000"]
    )
    assert (chosen.part_s, chosen.workers, chosen.share, chosen.sample_rate) == (0.001, 2, 1.0, 16000)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["build", "--work", "2"], "There is no option --work. Did you mean '--workers'?"),
        (["build", "--sampel-rate=2"], "There is no option --sampel-rate=2. Did you mean '--sample-rate'?"),
        (["build", "--workers"], "--workers needs a value."),
        (["build", "--format", "xml"], "--format has no choice 'xml' (choose from 'table', 'json')."),
    ],
)
def test_other_mistakes_are_sentences_too(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(arguments)
    assert capsys.readouterr().err.startswith(f"error: {sentence}")
