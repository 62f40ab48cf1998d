"""The joint score is accepted only if it ranks the anchors in their known order, over hundreds of pairs."""

import numpy as np
import pytest

from datamodules.corpora.corpus import Corpus
from metrics.evaluation.analyses import Analyses
from metrics.evaluation.joint_scoring import joint_scores
from metrics.rank_anchors import (
    KNOWN_ORDER,
    TRUE_ANCHORS,
    WRONG_ANCHORS,
    anchor_cases,
    as_markdown,
    count_failures,
    main,
)
from metrics.timbre_space.training import load_timbre_space, prepare_timbre_space
from runtime.errors import UserError


@pytest.fixture(scope="module")
def scores(tiny_corpus: Corpus) -> list[dict[str, dict[str, float]]]:
    """Joint scores of every anchor, and of white noise, in every case that 2 s clips give."""
    path = prepare_timbre_space(tiny_corpus.root)
    assert path is not None
    analyses = Analyses(tiny_corpus.root / "evaluation" / "analyses", load_timbre_space(path))
    white = 0.1 * np.random.default_rng(1).standard_normal(2 * tiny_corpus.sample_rate).astype(np.float32)
    found = []
    for case in anchor_cases(tiny_corpus, clip_s=2.0, clips_per_piece=3, limit=1000):
        outputs = case.outputs() | {"white_noise": white[: len(case.source)]}
        found.append(
            {
                name: joint_scores(case.transfer(preds), case.sample_rate, analyses)
                for name, preds in outputs.items()
            }
        )
    return found


def test_there_are_hundreds_of_cases(scores):
    assert len(scores) >= 200


@pytest.mark.parametrize(("better", "worse"), KNOWN_ORDER)
def test_the_joint_score_ranks_the_anchors_in_their_known_order(scores, better, worse):
    right = [score[better]["joint_score"] > score[worse]["joint_score"] for score in scores]
    assert np.mean(right) >= 0.98


def test_noise_is_no_answer(scores):
    assert np.nanmax([score["white_noise"]["joint_score"] for score in scores]) < 0.2


def test_the_means_are_in_the_known_order_by_a_margin(scores):
    mean = {name: np.nanmean([score[name]["joint_score"] for score in scores]) for name in scores[0]}
    assert mean["oracle_phase"] > 0.9
    assert mean["oracle_phase"] > mean["target_plus_noise"] > mean["other_recording"] + 0.05
    assert mean["other_recording"] > max(mean[name] for name in WRONG_ANCHORS) + 0.4


def test_each_half_alone_fails(scores):
    """Content alone is fooled by the copy, timbre alone by wrong notes: that is why there are two."""
    failures = {failures.metric: failures for failures in count_failures(scores)}
    assert failures["timbre_score"].share["other_recording", "wrong_notes"] > 0.3
    assert failures["content_score"].share["other_recording", "copy"] > 0.1
    assert failures["joint_score"].worst < 0.02


def test_failures_in_the_head():
    better, worse = {"pesq": 2.0, "lsd_db": 2.0}, {"pesq": 1.0, "lsd_db": 1.0}
    answers = dict.fromkeys((*TRUE_ANCHORS, "other_recording"), better) | dict.fromkeys(WRONG_ANCHORS, worse)
    undefined = answers | {"silence": {"pesq": float("nan"), "lsd_db": float("nan")}}
    by_name = {failures.metric: failures for failures in count_failures([answers, undefined])}
    assert by_name["pesq"].worst == 0  # higher is better, and no value is the worst value
    assert by_name["lsd_db"].share["oracle_phase", "copy"] == 1  # lower is better
    assert by_name["lsd_db"].share["oracle_phase", "silence"] == 0.5
    assert "| pesq | 0 / 0 | 0 / 0 | 0 / 0 | 0 / 0 | 0.0 |" in as_markdown(list(by_name.values()), 2)


def test_a_folder_without_a_corpus_is_said_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="is not a complete corpus"):
        main([str(tmp_path)])
