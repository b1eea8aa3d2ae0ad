import json

import pytest

from detkit.errors import DetkitError
from detkit.training.hooks import Checkpoint, FiniteLoss, MetricsWriter, ProgressHook
from detkit.training.trainer import Trainer


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_checkpoints_come_every_n_iterations_and_at_the_end():
    saved = []
    Trainer(lambda i: {"loss": 0.0}, [Checkpoint(saved.append, every=3)]).run(0, 8)
    assert saved == [3, 6, 8]


def test_the_end_is_saved_once():
    saved = []
    Trainer(lambda i: {"loss": 0.0}, [Checkpoint(saved.append, every=2)]).run(2, 4)
    assert saved == [4]


@pytest.mark.parametrize(("loss", "word"), [(float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf")])
def test_a_loss_that_is_no_number_names_iteration_images_and_remedy(loss, word):
    hook = FiniteLoss("finetune", lambda: ["000005", "000012"], "lower FINETUNE.LR (now 10)")
    with pytest.raises(DetkitError) as error:
        Trainer(lambda i: {"loss": loss if i == 2 else 1.0}, [hook]).run(0, 5)
    assert str(error.value) == (
        f"finetune: the loss at iteration 2 is {word} (images 000005, 000012); lower FINETUNE.LR (now 10)"
    )


def test_only_eight_images_are_named():
    hook = FiniteLoss("pretrain", lambda: [str(i) for i in range(20)], "stop")
    with pytest.raises(DetkitError, match=r"\(images 0, 1, 2, 3, 4, 5, 6, 7 and 12 more\)"):
        hook.after_step(0, {"loss": float("nan")})


def test_a_broken_state_is_not_saved():
    saved = []
    hooks = [FiniteLoss("finetune", list, "stop"), Checkpoint(saved.append, every=1)]
    with pytest.raises(DetkitError):
        Trainer(lambda i: {"loss": float("nan") if i == 1 else 1.0}, hooks).run(0, 3)
    assert saved == [1]


def test_metrics_are_means_over_each_stretch(tmp_path):
    # iterations 0..4 with losses 0..4 by threes: mean(0, 1, 2) = 1 and, at the end, mean(3, 4) = 3.5
    path = tmp_path / "run" / "metrics.jsonl"
    Trainer(lambda i: {"loss": i, "lr": 0.5}, [MetricsWriter(path, every=3)]).run(0, 5)
    rows = lines(path)
    assert [(r["iteration"], r["loss"], r["lr"]) for r in rows] == [(3, 1.0, 0.5), (5, 3.5, 0.5)]
    assert all(r["seconds"] >= 0 for r in rows)


def test_a_number_that_some_steps_lack_is_averaged_over_the_others(tmp_path):
    path = tmp_path / "metrics.jsonl"
    Trainer(lambda i: {"loss": 1, **({"accuracy": i} if i else {})}, [MetricsWriter(path, every=3)]).run(0, 3)
    assert lines(path)[0]["accuracy"] == 1.5


def test_a_resumed_run_repeats_no_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    Trainer(lambda i: {"loss": i}, [MetricsWriter(path, every=2)]).run(0, 8)
    with path.open("a") as file:
        file.write('{"iteration": 10, "lo')
    Trainer(lambda i: {"loss": -i}, [MetricsWriter(path, every=2)]).run(4, 8)
    assert [(r["iteration"], r["loss"]) for r in lines(path)] == [(2, 0.5), (4, 2.5), (6, -4.5), (8, -6.5)]


def test_progress_counts_from_the_start_of_a_resumed_run(monkeypatch):
    calls = []

    class Bar:
        def note(self, text):
            calls.append(text)

        def update(self, count=1):
            calls.append(count)

        def close(self):
            calls.append("closed")

    def bar(label, total, unit, done):
        calls.append((label, total, unit, done))
        return Bar()

    monkeypatch.setattr("detkit.training.hooks.progress", bar)

    def step(i):
        return {"lr": 0.1, "loss": 2.0 * i} | ({"foreground_accuracy": 0.5} if i == 3 else {})

    Trainer(step, [ProgressHook("finetune")]).run(3, 5)
    # the mean of 6 and 8 is 7; the second step had no foreground
    notes = ["loss 6, foreground accuracy 0.5", "loss 7, foreground accuracy 0.5"]
    assert calls == [("finetune", 5, "steps", 3), notes[0], 1, notes[1], 1, "closed"]
    Trainer(lambda i: {"loss": float(i)}, [ProgressHook("finetune")]).run(0, 41)
    assert calls[-3:] == ["loss 30.5", 1, "closed"]  # the last twenty, 21 to 40
