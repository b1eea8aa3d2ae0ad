"""``detkit ablate``: mean AP over the values of any keys."""

from __future__ import annotations

import argparse

from detkit.cli.options import log_to

FOLDER = "ablate"


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "ablate",
        help="mAP over the values of any config keys, with paired intervals",
        description="Runs the recipe with each value of each KEY=V1,V2,..., or with all combinations of several keys. "
        "Runs share equal results. Writes a table as Markdown and JSON below OUTPUT_DIR/ablate "
        "(runs/<config name>/ablate). All combinations are compared with the first.",
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=V1,V2,... | KEY=VALUE", help="keys to vary and to set")
    parser.add_argument("--config", required=True, metavar="FILE", help="recipe, for example projects/rcnn/quick.yaml")
    parser.add_argument(
        "--folds",
        action="store_true",
        help="evaluate the training images instead of the test split, in folds (HELD_OUT.FOLDS), at IoU 0.5 and 0.7. "
        "Components that have not learnt from a fold detect its objects, so you choose settings without a test image",
    )
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="language of headings and sentences")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    from detkit.study.ablation import Ablation, in_folds, swept
    from detkit.study.lab import Lab
    from detkit.study.write import write_answer

    values, words = swept(args.overrides)
    ablation = Ablation(values, *(("TRAIN", (0.5, 0.7)) if args.folds else ()))
    lab = Lab(args.config, [*words, *(in_folds(args.config, words) if args.folds else ())], FOLDER)
    ablation.refuse_unfit(lab)
    log_to(lab.folder)
    answer = ablation.answer(lab)
    name = "+".join(values)
    print(write_answer(name, ablation.title.of(args.lang), answer, lab, args.lang))
    print(f"written to: {lab.folder / name}")
    return 0
