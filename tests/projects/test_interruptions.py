"""The other detectors of the family, killed and in two processes: their parts keep what the core promises."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.processes.pair import assert_same_moves, run_in_pair, tensors, tuned_moves
from tests.reliability.harness import Job, Steps, Whole, whole_run

SMALL = """
DATA: {Shapes: {TRAIN_IMAGES: 8, TEST_IMAGES: 3, WIDTH: 64, MAX_SHAPES: 2}}
PRETRAIN_DATA: {Shapes: {TRAIN_IMAGES: 4, VAL_IMAGES: 2, WIDTH: 64}}
PROPOSALS: {SelectiveSearch: {MODE: single}}
PRETRAIN: {ITERATIONS: 2, BATCH_SIZE: 4}
FINETUNE: {ITERATIONS: 6, CHECKPOINT_EVERY: 2}
CALIBRATE: {FOLDS: 2}
COMPUTE: {DTYPE: float32}
RUNTIME: {WORKERS: 0, BATCH: 32, THREADS: 1, REPORT: false}
ARTIFACTS: artifacts
OUTPUT_DIR: run
"""
RECIPES = {
    "fast_rcnn": f"""
_BASE_: projects/fast_rcnn/quick.yaml
STAGES: [Pretrain, Propose, Finetune, Compress, Classify, Regress, Calibrate, Detect, Evaluate]
COMPRESS: {{RANKS: [6, 4]}}
BACKBONE: {{TinyNet: {{WIDTH: 4, FC_DIM: 8, INPUT_SIZE: 32}}}}
REGION_EXTRACTOR: {{RoIPool: {{SHORT_SIDES: [64], LONG_SIDE: 96}}}}
REGION_SAMPLER: {{Hierarchical: {{BATCH_SIZE: 16}}}}
{SMALL}""",
    "spp_net": f"""
_BASE_: projects/spp_net/quick.yaml
BACKBONE: {{TinyNet: {{WIDTH: 4, FC_DIM: 8, INPUT_SIZE: 32}}}}
REGION_EXTRACTOR: {{SpatialPyramid: {{SHORT_SIDES: [64, 96]}}}}
REGION_SAMPLER: {{ImageCentric: {{BATCH_SIZE: 16}}}}
{SMALL}""",
}
CHECKPOINT = re.compile("os.rename artifacts/finetune/.*checkpoint")
EVERY = 5
"""Steps from one kill of the long form to the next."""


@pytest.fixture(scope="module", params=RECIPES)
def whole(request, tmp_path_factory) -> Whole:
    """The uninterrupted run of a detector."""
    return whole_run(tmp_path_factory.mktemp(request.param), RECIPES[request.param])


@pytest.fixture
def job(whole, tmp_path) -> Job:
    """The same run, not yet begun."""
    return Job(tmp_path / "job", (whole.folder / "recipe.yaml").read_text(encoding="utf-8"))


def with_results(job: Job, whole: Whole, *stages: str) -> Job:
    """The job with what these stages of the whole run have left."""
    for stage in stages:
        shutil.copytree(whole.folder / "artifacts" / stage, job.folder / "artifacts" / stage)
    return job


def test_a_tuning_that_is_killed_at_a_checkpoint_goes_on_to_the_same_bits(whole, job):
    checkpoints = [step for step, line in enumerate(whole.steps) if CHECKPOINT.match(line)]
    ended = job.run(prepare=Steps(checkpoints[1]))
    assert ended.code == -signal.SIGKILL, ended.said
    assert "finetune: goes on" in whole.check(job).said


def test_two_processes_tune_to_the_same_network_but_for_rounding_and_end_the_run(whole, job):
    said = run_in_pair(with_results(job, whole, "pretrain", "propose"))
    assert said.count("finetune: done") == 1, "one process speaks"
    assert_same_moves(tuned_moves(job.folder), tuned_moves(whole.folder))
    assert (job.folder / "run/results.json").is_file()


@pytest.mark.soak
def test_the_same_network_gives_the_same_bits_in_two_processes(whole, job):
    run_in_pair(with_results(job, whole, "pretrain", "finetune"))
    stages = [
        path.name for path in Path(whole.folder, "artifacts").iterdir() if path.name not in ("pretrain", "finetune")
    ]
    expected, found = (tensors(folder, *stages) for folder in (whole.folder, job.folder))
    assert expected.keys() == found.keys()
    assert [name for name in expected if not expected[name].equal(found[name])] == []
    assert (job.folder / "run/results.json").read_bytes() == (whole.folder / "run/results.json").read_bytes()


@pytest.mark.soak
def test_a_run_that_is_killed_at_any_step_goes_on(whole, tmp_path):
    recipe = (whole.folder / "recipe.yaml").read_text(encoding="utf-8")
    for step in range(0, len(whole.steps), EVERY):
        job = Job(tmp_path / f"{step}", recipe)
        ended = job.run(prepare=Steps(step))
        assert ended.code == -signal.SIGKILL, (step, ended.said)
        whole.check(job)
