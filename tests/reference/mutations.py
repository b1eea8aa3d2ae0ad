"""Breaks one rule of the method after the other and tells whether the tests see it: ``make mutants``.

Works on copies of the package and its tests. Each row of ROWS is a usual mistake of re-implementations; it is "killed"
when the tests that it names fail on the copy that makes it. Exits 1 where they pass or cannot be run.

    python tests/reference/mutations.py [--table] [WORDS of a row's mistake ...]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("detkit", "tests", "projects", "configs", "pyproject.toml")
VERDICTS = {0: "SURVIVED", 1: "killed"}


class Mutation(NamedTuple):
    """One mistake.

    Attributes:
        mistake: what it does wrong.
        file: where, from the root of the repository.
        text: what stands there once.
        broken: what the mistake puts in its place.
        tests: what pytest is told to run, from ``tests/``.
    """

    mistake: str
    file: str
    text: str
    broken: str
    tests: str


WARP, CROPS, PIXELS = "detkit/regions/warp.py", "detkit/regions/warped_crops.py", "detkit/backbones/preprocessing.py"
WINDOWS, OBJECTIVE = "detkit/regions/windows.py", "detkit/training/region_objective.py"
SEARCH, GROUPING, LABEL = (
    "detkit/proposals/selective_search.py",
    "detkit/proposals/grouping.py",
    "detkit/regions/label.py",
)
OPTIM, SVM, MINING = "detkit/training/optim.py", "detkit/classifiers/linear_svm.py", "detkit/classifiers/mining.py"
HINGE, CODING, RIDGE = "detkit/classifiers/hinge.py", "detkit/box_heads/coding.py", "detkit/box_heads/ridge.py"
POST, VOC, LRN = "detkit/detection/postprocess.py", "detkit/evaluation/voc.py", "detkit/backbones/lrn.py"
PYRAMID = "projects/spp_net/pyramid.py"
CURVES, BOOTSTRAP = "detkit/evaluation/curves.py", "detkit/evaluation/bootstrap.py"
TIDE, HOIEM, MATCHING = "detkit/diagnosis/tide.py", "detkit/diagnosis/hoiem.py", "detkit/diagnosis/matching.py"
CAFFENET, SOLVER, DETECT = "detkit/backbones/caffenet.py", "detkit/training/solver.py", "detkit/stages/detect.py"

ROWS = (
    # Networks
    Mutation(
        "LRN without the division by its size",
        LRN,
        "x.shape[1], alpha / size",
        "x.shape[1], alpha",
        "backbones/test_lrn.py",
    ),
    Mutation("LRN with Krizhevsky's k of 2", LRN, "k: float = 1.0", "k: float = 2.0", "backbones/test_lrn.py"),
    Mutation(
        "pixels stay RGB", PIXELS, 'self.order == "BGR"', 'self.order == "GBR"', "backbones/test_preprocessing.py"
    ),
    Mutation(
        "the mean is subtracted outside the image, too, so padding is black",
        PIXELS,
        "x = x * rows[:, :, None] * columns.repeat_interleave(3, 1)[:, None]",
        "pass",
        "backbones/test_preprocessing.py regions/test_warped_crops.py",
    ),
    Mutation(
        "CaffeNet's own pixels stay RGB",
        CAFFENET,
        'Preprocessing.of("BGR"',
        'Preprocessing.of("RGB"',
        "backbones/test_caffenet.py -k mean_colour",
    ),
    Mutation(
        "CaffeNet's own mean colour in the order red, green, blue",
        CAFFENET,
        "(104.007, 116.669, 122.679)",
        "(122.679, 116.669, 104.007)",
        "backbones/test_caffenet.py -k mean_colour",
    ),
    Mutation(
        "no groups in conv4",
        CAFFENET,
        "self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)",
        "self.conv4 = nn.Conv2d(384, 384, 3, padding=1)",
        "backbones/test_caffenet.py -k parameters",
    ),
    Mutation(
        "mean image cut at its top left",
        "detkit/backbones/caffe_files.py",
        "((n - side) // 2 for n in mean.shape[1:])",
        "(0 for _ in mean.shape[1:])",
        "backbones/test_caffe_files.py -k cut_at_its_centre",
    ),
    # Training and pre-training
    Mutation(
        "training runs in eval mode",
        SOLVER,
        '"head": objective}).train()',
        '"head": objective}).eval()',
        "training/test_solver.py -k train_mode",
    ),
    Mutation(
        "training stays in eval mode after a centred head is calibrated",
        SOLVER,
        "objective.prepare(backbone, compute)\n        net.train()",
        "objective.prepare(backbone, compute)",
        "training/test_solver.py -k calibrated_in_eval_mode",
    ),
    Mutation(
        "an interrupted step leaves gradients to the next run",
        SOLVER,
        "net.zero_grad()",
        "net.train()",
        "training/test_solver.py -k parts_resumes",
    ),
    Mutation(
        "the loss is the sum over a batch, not the mean",
        "detkit/training/region_objective.py",
        " / batch.total",
        "",
        "training/test_finetune.py -k first_loss",
    ),
    Mutation(
        "a new head's biases start from 1",
        "detkit/training/objective.py",
        "nn.init.zeros_(head.bias)",
        "nn.init.ones_(head.bias)",
        "training/test_solver.py -k new_head",
    ),
    Mutation(
        "top-5 counts the sixth guess, too",
        "detkit/training/pretrain.py",
        "ranks < k)",
        "ranks < k + (k == 5))",
        "training/test_pretrain.py -k accuracies",
    ),
    Mutation(
        "pre-training takes only centre crops",
        "detkit/training/classified.py",
        "rng.integers(0, self.side - self.crop + 1, (len(every), 2))",
        "np.full((len(every), 2), (self.side - self.crop) // 2)",
        "training/test_classified.py -k anywhere",
    ),
    # Features
    Mutation(
        "dropout acts in features",
        "detkit/backbones/fuse.py",
        "copy.deepcopy(backbone).eval()",
        "copy.deepcopy(backbone)",
        "regions/test_network.py",
    ),
    Mutation(
        "crops are mirrored at test",
        "detkit/regions/network.py",
        "np.zeros(len(pieces[i]), bool)",
        "np.ones(len(pieces[i]), bool)",
        "regions/test_features.py -k alone",
    ),
    Mutation(
        "ground truths are scored at test, too",
        DETECT,
        "with_truths=False",
        "with_truths=True",
        "run/test_runner.py -k model_folder_detects",
    ),
    # Warp
    Mutation(
        "context of 16 pixels of the image",
        WARP,
        "* (size / (size - 2 * padding))",
        "+ padding",
        "regions/test_warp.py::test_published_vectors_are_met",
    ),
    Mutation(
        "halves rounded to the even number",
        WARP,
        "return (whole + np.sign(values) * (np.abs(values - whole) >= 0.5)).astype(np.int64)",
        "return np.rint(values).astype(np.int64)",
        "regions/test_warp.py -k whole_box",
    ),
    Mutation(
        "the window's last pixel left out",
        WARP,
        "_round(centre + reach)",
        "_round(centre + reach) - 1",
        "regions/test_warp.py -k vectors",
    ),
    Mutation(
        "a mirrored crop is padded on the side of the plain crop",
        WARP,
        "_round((high - clip_high) * scale",
        "_round((clip_low - low) * scale",
        "regions/test_warp.py -k vectors",
    ),
    Mutation(
        "padding is computed in exact fractions, not in doubles",
        WARP,
        "_round((clip_low - low) * scale)",
        "_round((clip_low - low) * size / (high - low))",
        "regions/test_warp.py -k doubles",
    ),
    Mutation("square around the shorter side", WARP, "half.max(1,", "half.min(1,", "regions/test_warp.py -k vectors"),
    Mutation("antialiased resize", WARP, "cv2.INTER_LINEAR", "cv2.INTER_AREA", "regions/test_warp.py -k bilinear"),
    Mutation(
        "a mirrored crop keeps the pixels of the plain crop",
        WARP,
        "resized[:, ::-1] if flip else resized",
        "resized",
        "regions/test_warp.py -k mirrored",
    ),
    Mutation(
        "box rounded before the warp",
        CROPS,
        "boxes.numpy(), size, self",
        "boxes.numpy().round(), size, self",
        "regions/test_warped_crops.py",
    ),
    Mutation(
        "features of the wider window before those of the region",
        WINDOWS,
        "Boxes.cat([boxes, wide])",
        "Boxes.cat([wide, boxes])",
        "regions/test_windows.py",
    ),
    Mutation(
        "heads of a pooling network on the region's window alone",
        OBJECTIVE,
        "self.extractor.describe(layers)",
        "layers",
        "projects/fast_rcnn/test_objective.py",
    ),
    Mutation(
        "tuned head on features that it has not seen",
        "detkit/stages/readers.py",
        "extractor.for_training() if training else extractor",
        "extractor",
        "stages/test_readers.py",
    ),
    # Selective search
    Mutation(
        "priority counts from the first merge, not from the last",
        SEARCH,
        "np.arange(len(merged), 0, -1)",
        "np.arange(1, len(merged) + 1)",
        "proposals/test_selective_search.py -k objectness",
    ),
    Mutation(
        "segments come first, as in OpenCV",
        SEARCH,
        "np.full(len(segments), len(hierarchies[0]) + 1)",
        "np.ones(len(segments))",
        "proposals/test_selective_search.py -k objectness",
    ),
    Mutation(
        "the order depends on the process, not on the image",
        SEARCH,
        "content_rng(image).random",
        "np.random.default_rng().random",
        "proposals/test_selective_search.py -k earlier_calls",
    ),
    Mutation(
        "duplicates kept",
        SEARCH,
        "_, first = np.unique(all_boxes[order], axis=0, return_index=True)",
        "first = np.arange(len(order))",
        "proposals/test_selective_search.py -k 'distinct and paper'",
    ),
    Mutation(
        "sides of exactly 20 px dropped",
        SEARCH,
        ">= self.min_side",
        "> self.min_side",
        "proposals/test_selective_search.py -k exactly_min_side",
    ),
    Mutation(
        "of two boxes that overlap the worse one stays",
        SEARCH,
        "nms(found, objectness,",
        "nms(found, -objectness,",
        "proposals/test_selective_search.py -k better_one",
    ),
    Mutation(
        "one least segment size for every k",
        SEARCH,
        "((50, 50), (100, 100))",
        "((50, 100), (100, 100))",
        "proposals/test_selective_search.py -k eight_groupings",
    ),
    Mutation(
        "another blur before the segmentation",
        GROUPING,
        "sigma: float = 0.8",
        "sigma: float = 0.5",
        "proposals/test_grouping.py -k blur",
    ),
    Mutation(
        "merged histograms not weighted by size",
        GROUPING,
        "(self._colours[a] * area_a + self._colours[b] * area_b) / np.float32(area_a + area_b)",
        "(self._colours[a] + self._colours[b]) / np.float32(2)",
        "proposals/test_grouping.py",
    ),
    Mutation(
        "least similar pair merges first",
        GROUPING,
        "queue += [(-value, a, b)",
        "queue += [(value, a, b)",
        "proposals/test_grouping.py",
    ),
    # Fine-tuning
    Mutation(
        "foreground begins above IoU 0.5, not at it",
        LABEL,
        "best < foreground_iou",
        "best <= foreground_iou",
        "regions/test_label.py",
    ),
    Mutation(
        "background begins at IoU 0.1",
        LABEL,
        "    near_ignored = (",
        "    label[best < 0.1] = -1\n    near_ignored = (",
        "reference/test_label_oracle.py -k finetuning",
    ),
    Mutation(
        "ties go to the higher class",
        LABEL,
        "best, label = overlaps.max(1)",
        "best, label = overlaps.max(1)\n    label = background - 1 - overlaps.flip(1).max(1).indices",
        "regions/test_label.py",
    ),
    Mutation(
        "difficult objects are left out by default",
        LABEL,
        'if difficult == "ignore":',
        'if difficult == "use":',
        "regions/test_label.py reference/test_label_oracle.py",
    ),
    Mutation(
        "the overlap with a crowd is plain IoU",
        LABEL,
        "if bool(truths.crowd.any()):",
        "if False:",
        "regions/test_label.py",
    ),
    Mutation(
        "64 + 64 regions in a batch",
        "detkit/regions/fixed_fraction.py",
        "= 0.25,",
        "= 0.5,",
        "regions/test_fixed_fraction.py",
    ),
    Mutation(
        "early regions drawn more often",
        "detkit/regions/fixed_fraction.py",
        "rows[rng.integers(len(rows), size=count)]",
        "rows[rng.integers(len(rows), size=count) * rng.integers(len(rows) + 1, size=count) // len(rows)]",
        "reference/test_label_oracle.py -k uniform",
    ),
    Mutation(
        "a quarter of the regions is mirrored, not half",
        "detkit/training/region_objective.py",
        "rng.random(len(rows)) < 0.5",
        "rng.random(len(rows)) < 0.25",
        "training/test_finetune.py -k mirrored",
    ),
    Mutation(
        "the new layer learns at the common rate",
        OPTIM,
        ' * (head_lr_factor if name.startswith(f"{head}.") else 1.0)',
        "",
        "training/test_optim.py",
    ),
    Mutation(
        "biases learn at the common rate",
        OPTIM,
        "(bias_lr_factor if is_bias else 1.0)",
        "1.0",
        "training/test_optim.py",
    ),
    Mutation("biases decay", OPTIM, "0.0 if is_bias else 1.0)", "1.0)", "training/test_optim.py"),
    Mutation(
        "the learning rate is multiplied after the momentum",
        OPTIM,
        ".add_(move, alpha=lr * rule.lr_factor))",
        ".add_(move), alpha=lr * rule.lr_factor)",
        "training/test_optim.py",
    ),
    # SVM
    Mutation(
        "squared hinge", HINGE, 'loss="hinge"', 'loss="squared_hinge"', "reference/test_svm_oracle.py -k own_dual"
    ),
    Mutation(
        "bias feature of 1",
        HINGE,
        "intercept_scaling=self.loss.bias_scale",
        "intercept_scaling=1.0",
        "reference/test_svm_oracle.py -k own_dual",
    ),
    Mutation("bias not regularised", HINGE, "+ (bias / self.bias_scale) ** 2 / 2 ", "", "classifiers/test_hinge.py"),
    Mutation(
        "bias scale of 1 by default",
        SVM,
        "= 10.0,",
        "= 1.0,",
        "reference/test_svm_oracle.py -k replay",
    ),
    Mutation(
        "positives weigh as much as negatives",
        HINGE,
        "1: self.loss.positive_weight,",
        "1: 1.0,",
        "reference/test_svm_oracle.py -k own_dual",
    ),
    Mutation(
        "negatives weigh double, too",
        HINGE,
        "-1: 1.0}",
        "-1: self.loss.positive_weight}",
        "reference/test_svm_oracle.py -k own_dual",
    ),
    Mutation(
        "only regions that touch a truth are negatives",
        LABEL,
        "labels[(reach < negative_iou) | (reach == 0)] = -1",
        "labels[(reach < negative_iou) & (reach > 0)] = -1",
        "reference/test_label_oracle.py -k svm",
    ),
    Mutation(
        "regions at exactly IoU 0.3 are negatives",
        LABEL,
        "reach < negative_iou",
        "reach <= negative_iou",
        "regions/test_label.py",
    ),
    Mutation(
        "a region near an object of any class is ignored",
        LABEL,
        'if ignore == "any_class":',
        "if True:",
        "regions/test_label.py",
    ),
    Mutation(
        "ground truths of other classes are no negatives",
        LABEL,
        "    labels[is_truth.nonzero()",
        "    labels[is_truth] = 0\n    labels[is_truth.nonzero()",
        "reference/test_label_oracle.py -k svm",
    ),
    Mutation(
        "negatives are evicted below -1.1, not -1.2",
        SVM,
        "evict_below: float = -1.2",
        "evict_below: float = -1.1",
        "reference/test_svm_oracle.py -k replay",
    ),
    Mutation(
        "negatives are hard above -0.9, not -1.0001",
        SVM,
        "hard_margin: float = -1.0001",
        "hard_margin: float = -0.9",
        "reference/test_svm_oracle.py -k replay",
    ),
    Mutation(
        "training starts again at the limit, not beyond it",
        MINING,
        "self._added > self.rules.retrain_after",
        "self._added >= self.rules.retrain_after",
        "classifiers/test_mining.py",
    ),
    Mutation(
        "the counter of additions is not reset",
        MINING,
        "        self._added = 0\n        self.objectives.append",
        "        self.objectives.append",
        "classifiers/test_mining.py reference/test_svm_oracle.py",
    ),
    Mutation(
        "negatives exactly at the limit are evicted",
        MINING,
        ">= self.rules.evict_below",
        "> self.rules.evict_below",
        "classifiers/test_mining.py",
    ),
    Mutation(
        "a cached negative is cached again",
        MINING,
        "if row not in self._cache]",
        "if row >= 0]",
        "classifiers/test_mining.py",
    ),
    Mutation("no training at the last image", MINING, "if is_last or not", "if not", "classifiers/test_mining.py"),
    Mutation(
        "only hard negatives of the first image are cached",
        MINING,
        "if self.has_model else negatives",
        "if True else negatives",
        "classifiers/test_mining.py",
    ),
    Mutation(
        "feature scale not applied at test",
        SVM,
        "features @ (self.weight_ * self.scale_).T",
        "features @ self.weight_.T",
        "classifiers/test_linear_svm.py -k another_unit",
    ),
    Mutation(
        "feature scale not stored",
        SVM,
        ', self.scale_ = loaded["weight"], loaded["bias"], loaded["scale"]',
        ' = loaded["weight"], loaded["bias"]',
        "contract/test_components.py -k survive",
    ),
    Mutation(
        "one setting of a pass learns from the positives of another",
        "detkit/classifiers/svm_training.py",
        "positives[one.examples.positive_iou]",
        "positives[trainings[0].examples.positive_iou]",
        "classifiers/test_linear_svm.py -k as_if_alone",
    ),
    Mutation(
        "classifiers of different layers learn in one pass",
        "detkit/run/plan.py",
        'if key != settings[slot]["NAME"]}',
        'if key == "NAME"}',
        "run/test_one_pass.py -k share",
    ),
    *(
        Mutation(f"{name} by default", SVM, f"{old},", f"{new},", "reference/test_constants.py")
        for name, old, new in (
            ("a C of 1", "Positive] = 1e-3", "Positive] = 1.0"),
            ("a positive weight of 1", "Positive] = 2.0", "Positive] = 1.0"),
            ("a mean norm of fc7 of 1", "NonNegative] = 20.0", "NonNegative] = 1.0"),
            ("training again after 200", "NonNegative] = 2000", "NonNegative] = 200"),
        )
    ),
    Mutation(
        "mean norms come from half as many regions",
        "detkit/regions/source.py",
        "[:num_rows])",
        "[: num_rows // 2])",
        "reference/test_constants.py",
    ),
    Mutation(
        "a fold's model learns from its own fold",
        "detkit/classifiers/folds.py",
        "miner.train(examples[~own], count)",
        "miner.train(examples, num_positives)",
        "classifiers/test_folds.py",
    ),
    Mutation(
        "softmax drops its first column",
        "detkit/classifiers/softmax.py",
        "[:, :-1]",
        "[:, 1:]",
        "classifiers/test_softmax.py",
    ),
    # Box regression
    Mutation(
        "one pixel added to widths",
        CODING,
        "size = (high - low).clamp",
        "size = (high - low + 1).clamp",
        "box_heads/test_coding.py",
    ),
    Mutation(
        "sizes are encoded as a ratio, not as its logarithm",
        CODING,
        "torch.log(goal_size / size)",
        "goal_size / size - 1",
        "box_heads/test_coding.py",
    ),
    Mutation(
        "corners are encoded, not centres",
        CODING,
        "return low + size / 2, size",
        "return low, size",
        "box_heads/test_coding.py",
    ),
    Mutation(
        "ridge without its lambda",
        "detkit/box_heads/closed_form.py",
        "gram = alpha * torch.eye(dim",
        "gram = 1e-9 * torch.eye(dim",
        "reference/test_ridge_oracle.py",
    ),
    Mutation(
        "the dual without its lambda",
        "detkit/box_heads/closed_form.py",
        "gram = alpha * torch.eye(len",
        "gram = 1e-9 * torch.eye(len",
        "reference/test_ridge_oracle.py",
    ),
    Mutation(
        "targets not centred",
        RIDGE,
        "targets - mean, self.alpha",
        "targets, self.alpha",
        "reference/test_ridge_oracle.py",
    ),
    Mutation(
        "no constant feature",
        RIDGE,
        "torch.ones(len(features), 1)",
        "torch.zeros(len(features), 1)",
        "reference/test_ridge_oracle.py",
    ),
    Mutation(
        "pool5's scale not applied at test",
        "detkit/box_heads/linear.py",
        "(self.weight_[k] * scale).T",
        "self.weight_[k].T",
        "box_heads/test_ridge.py",
    ),
    Mutation("a lambda of 1 by default", RIDGE, "Positive] = 1000.0", "Positive] = 1.0", "reference/test_constants.py"),
    Mutation(
        "a mean norm of pool5 of 1 by default",
        RIDGE,
        "NonNegative] = 20.0",
        "NonNegative] = 1.0",
        "reference/test_constants.py",
    ),
    Mutation(
        "regions at exactly IoU 0.6 are examples", LABEL, "best > min_iou", "best >= min_iou", "regions/test_label.py"
    ),
    Mutation(
        "ground truths are no examples",
        "detkit/box_heads/examples.py",
        "near = (truth_rows >= 0)",
        "near = ((truth_rows >= 0) & (torch.arange(len(truth_rows)) >= len(truths)))",
        "box_heads/test_examples.py",
    ),
    # Post-processing
    Mutation(
        "NMS before box regression",
        "detkit/detection/scorer.py",
        "        own = features[self.box_layer][rows]",
        "        from detkit.detection.postprocess import finish\n"
        "        first = finish(boxes[rows], scores, labels, torch.arange(len(rows)), (10**6, 10**6), settings)\n"
        "        rows, labels, scores = (t[first.proposal_rows] for t in (rows, labels, scores))\n"
        "        own = features[self.box_layer][rows]",
        "detection/test_detector.py",
    ),
    Mutation(
        "no cap before NMS",
        POST,
        "t[: settings.top_per_image].T",
        "t.T",
        "detection/test_detector.py detection/test_postprocess.py",
    ),
    Mutation(
        "boxes not clipped",
        POST,
        "Detections(boxes.clip(image_size)",
        "Detections(boxes",
        "detection/test_postprocess.py",
    ),
    Mutation(
        "NMS suppresses at exactly IoU 0.3",
        "detkit/structures/suppression.py",
        "scores.double(), iou)",
        "scores.double(), iou - 1e-9)",
        "structures/test_suppression.py",
    ),
    Mutation(
        "NMS suppresses boxes of other classes",
        POST,
        "own = (found.labels == label).nonzero()[:, 0]",
        "own = torch.arange(len(found))[: len(found) if label == found.labels.min() else 0]",
        "detection/test_postprocess.py",
    ),
    Mutation("the cap over the set is left out", POST, "if cap == 0:", "if True:", "detection/test_postprocess.py"),
    Mutation(
        "the cap over the set removes no detection of an image",
        DETECT,
        'one["scores"] >= limits[one["labels"]]',
        'one["scores"] > -torch.inf',
        "run/test_runner.py -k cap_over_the_set",
    ),
    Mutation(
        "a cap of 300 for each class and image by default",
        POST,
        "Annotated[int, Positive] = 100",
        "Annotated[int, Positive] = 300",
        "reference/test_constants.py",
    ),
    Mutation(
        "a cap of 100 x images for each class by default",
        POST,
        "Annotated[int, NonNegative] = 40",
        "Annotated[int, NonNegative] = 100",
        "reference/test_constants.py",
    ),
    # Evaluation
    Mutation(
        "exact recall levels (0.1, 0.2, ...) by default",
        VOC,
        "np.arange(0, 1.1, 0.1)",
        "np.arange(11) / 10",
        "evaluation/test_voc.py",
    ),
    Mutation(
        "a match must exceed IoU 0.5 by default",
        VOC,
        "strict_iou: bool = False",
        "strict_iou: bool = True",
        "evaluation/test_voc.py",
    ),
    Mutation(
        "copies of an image count once among the misses",
        BOOTSTRAP,
        "seen, true = (added @ by_image).cumsum(0)",
        "seen, true = (added @ by_image.clip(max=1)).cumsum(0)",
        "evaluation/test_bootstrap.py",
    ),
    Mutation(
        "classes that a draw lacks count as nought",
        BOOTSTRAP,
        "return np.where(truths, np.concatenate(found), np.nan)",
        "return np.where(truths, np.concatenate(found), 0.0)",
        "evaluation/test_bootstrap.py",
    ),
    Mutation("STRICT_IOU has no effect", VOC, "if self.strict_iou else", "if False else", "evaluation/test_voc.py"),
    Mutation("difficult objects must be found", VOC, "labels[~ignored]", "labels", "evaluation/test_voc.py"),
    Mutation(
        "detections of difficult objects are false positives",
        VOC,
        'return found, hits, ~(reaches & found["ignored"]), order',
        "return found, hits, np.ones(len(found), bool), order",
        "evaluation/test_voc.py",
    ),
    Mutation(
        "an object found twice counts twice",
        VOC,
        'hits[candidates[np.unique(found["truth"][candidates], return_index=True)[1]]] = True',
        "hits[candidates] = True",
        "evaluation/test_voc.py",
    ),
    Mutation(
        "the area is computed without the envelope of precision",
        CURVES,
        "envelope: np.ndarray = np.maximum.accumulate(precision[::-1])[::-1]",
        "envelope = precision",
        "evaluation/test_voc.py",
    ),
    Mutation(
        "one pixel is added to the sides of exclusive boxes",
        "detkit/structures/boxes.py",
        "product: np.ndarray = width * height",
        "product: np.ndarray = (width + 1) * (height + 1)",
        "structures/test_boxes.py",
    ),
    Mutation(
        "result files count pixels from 0",
        "detkit/evaluation/voc_files.py",
        "[x1 - 1, y1 - 1, x2, y2]",
        "[x1, y1, x2, y2]",
        "evaluation/test_detection_files.py",
    ),
    Mutation(
        "an object exactly at the threshold of recall is missed",
        "detkit/evaluation/recall.py",
        "np.greater if self.strict else np.greater_equal",
        "np.greater",
        "evaluation/test_recall.py",
    ),
    # SPP-net
    Mutation(
        "windows without a margin",
        PYRAMID,
        "inward = (0.5 - self.margin)",
        "inward = 0.5",
        "projects/spp_net/test_pyramid.py",
    ),
    Mutation(
        "the last pixel of a window exclusive",
        PYRAMID,
        "(areas - [0, 0, 1, 1])",
        "areas",
        "projects/spp_net/test_pyramid.py",
    ),
    Mutation(
        "corners that crossed stay so",
        PYRAMID,
        "torch.where(crossed, middle, end)",
        "torch.where(crossed, low, end)",
        "projects/spp_net/test_pyramid.py",
    ),
    Mutation(
        "corners without half a cell of the first",
        PYRAMID,
        "first = backbone.map_origin - 0.5",
        "first = backbone.map_origin - backbone.stride / 2",
        "projects/spp_net/test_pyramid.py",
    ),
    Mutation(
        "windows of a whole crop", PYRAMID, "WINDOW = 208 / 224", "WINDOW = 1.0", "projects/spp_net/test_pyramid.py"
    ),
    Mutation(
        "scaled by lengths, not between the ends",
        PYRAMID,
        "(scaled.min(1) - 1).clip(min=1) / max(size.min() - 1, 1)",
        "scaled.min(1) / size.min()",
        "projects/spp_net/test_pyramid.py",
    ),
    Mutation(
        "the wanted side rounded up",
        PYRAMID,
        "+ 0.5)\n        scale",
        "+ 1.0)\n        scale",
        "projects/spp_net/test_pyramid.py",
    ),
    Mutation(
        "levels of the network's own pooling only",
        PYRAMID,
        "backbone.levels or backbone.pool_size[:1]",
        "backbone.pool_size[:1]",
        "projects/spp_net/test_pyramid.py",
    ),
    # Diagnosis
    Mutation(
        "TIDE tests Cls (class) before Loc (location)",
        TIDE,
        """            (own >= BACKGROUND) & (own <= FOREGROUND),
            other >= FOREGROUND,
""",
        """            (own >= BACKGROUND) & (own <= FOREGROUND) & (other < FOREGROUND),
            other >= FOREGROUND,
""",
        "diagnosis/test_tide.py",
    ),
    Mutation("TIDE counts no duplicates", TIDE, "used >= FOREGROUND,", "used > 1,", "diagnosis/test_tide.py"),
    Mutation(
        "TIDE corrects only the best error of each kind",
        TIDE,
        "_best_of_truths(outcome, mendable, points_at)",
        "np.isin(np.arange(len(kinds)), mendable)",
        "diagnosis/test_tide.py",
    ),
    Mutation(
        "Hoiem's test of other classes comes before that of similar ones",
        HOIEM,
        "near_similar, near_other]",
        "near_similar & ~near_other, near_other]",
        "diagnosis/test_hoiem.py",
    ),
    Mutation(
        "Hoiem counts a detection of a difficult object as right",
        HOIEM,
        "np.where(outcome.ignored[truth[found]], 0, 1)",
        "1",
        "diagnosis/test_hoiem.py",
    ),
    Mutation(
        "COCO prefers an ignored object to one that counts",
        MATCHING,
        "outcome.ignored[pairs.truth], outcome.rank",
        "~outcome.ignored[pairs.truth], outcome.rank",
        "diagnosis/test_matching.py",
    ),
)


def mutated(row: Mutation) -> str:
    """The file's text with the mistake in it.

    Raises:
        ValueError: the text does not stand there exactly once.
    """
    source = (ROOT / row.file).read_text(encoding="utf-8")
    if source.count(row.text) != 1:
        raise ValueError(f"{row.file}: {row.text!r} stands there {source.count(row.text)} times, expected once")
    return source.replace(row.text, row.broken)


def stale(rows: Sequence[Mutation]) -> list[str]:
    """What no longer fits the code, a line each: texts that are not there once, tests that are gone, names twice."""
    lines = [f"{name!r}: two rows have this name" for name, n in Counter(row.mistake for row in rows).items() if n > 1]
    for row in rows:
        try:
            mutated(row)
        except (OSError, ValueError) as error:
            lines.append(f"{row.mistake!r}: {error}")
        files = re.findall(r"\S+\.py", row.tests)
        lines += [f"{row.mistake!r}: no tests/{f}" for f in files or ["..."] if not (ROOT / "tests" / f).is_file()]
    return lines


def run_tests(root: Path, tests: str) -> None:
    """Ends this process with pytest's exit code."""
    import pytest

    os.chdir(root)
    sys.path.insert(0, str(root))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    words = shlex.split(re.sub(r"(\S+\.py)", r"tests/\1", tests))
    os._exit(pytest.main(["-x", "-p", "no:cacheprovider", "--assert=plain", *words]))


def main() -> int:
    """Runs the chosen rows and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", action="store_true", help="print rows of a Markdown table")
    parser.add_argument("words", nargs="*", help="only rows whose mistake contains one of these")
    args = parser.parse_args()
    if lines := stale(ROWS):
        print("\n".join(["rows that must follow a change of the code:", *lines]), file=sys.stderr)
        return 1
    os.environ.setdefault("DETKIT_TEST_DATA", str(ROOT.parent / "shared"))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the plugins take longer to import than most rows to run
    import_libraries()
    survivors = 0
    for row in ROWS:
        if args.words and not any(word in row.mistake for word in args.words):
            continue
        start = time.monotonic()
        verdict = judge(row)
        survivors += verdict != "killed"
        seconds = time.monotonic() - start
        tests = re.sub(r"(\S+\.py)", r"tests/\1", row.tests)
        cells = (row.mistake, f"`{row.file}`", f"`{tests}`", verdict)
        print(f"| {' | '.join(cells)} |" if args.table else f"{verdict:9} {seconds:5.1f} s  {row.mistake}", flush=True)
    print(f"{survivors} of the mistakes above were not seen", file=sys.stderr)
    return int(survivors > 0)


def import_libraries() -> None:
    """Imports once, before processes are forked, what every test needs; the package itself is left to them."""
    import cv2  # noqa: F401
    import pycocotools.cocoeval  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.linear_model
    import sklearn.svm  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)


def judge(row: Mutation) -> str:
    """ "killed", "SURVIVED", or how the tests could not be run."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in COPIED:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, root / name)
        (root / row.file).write_text(mutated(row), encoding="utf-8")
        process = multiprocessing.get_context("fork").Process(target=run_tests, args=(root, row.tests))
        process.start()
        process.join()
        return VERDICTS.get(process.exitcode or 0, f"exit {process.exitcode}")


if __name__ == "__main__":
    sys.exit(main())
