"""``detkit paper``: questions about a paper, answered by runs."""

from __future__ import annotations

import argparse

from detkit.cli.options import log_to

FOLDER = "paper"


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "paper",
        help="answer questions about a paper by runs of a recipe",
        description="Without a recipe it lists the questions. With a recipe it runs what the questions need, shares "
        "equal results, and writes each answer as Markdown and JSON below OUTPUT_DIR/paper (runs/<config name>/paper). "
        "Without a QUESTION it answers all.",
    )
    parser.add_argument("overrides", nargs="*", metavar="QUESTION | KEY=VALUE", help="for example q3.3")
    parser.add_argument("--config", metavar="FILE", help="recipe, for example projects/rcnn/quick.yaml")
    parser.add_argument("--preset", metavar="NAME", help="a recipe that comes with the questions: tiny or photographs")
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="language of titles and sentences")
    parser.add_argument("--project", metavar="FOLDER", help="use this project's questions instead of the bundled ones")
    return parser


def run(args: argparse.Namespace) -> int:
    """Lists the questions, or prints the answers."""
    from detkit.components import load_components
    from detkit.config.project import import_projects
    from detkit.errors import ConfigError
    from detkit.study.asking import make, preset, questions
    from detkit.study.lab import Lab
    from detkit.study.write import write_answer

    load_components()
    import_projects(args.project)
    names = [word for word in args.overrides if "=" not in word]
    words = [word for word in args.overrides if "=" in word]
    asked = questions(names)
    if not args.config and not args.preset:
        if names or words:
            raise ConfigError("paper: runs of a recipe answer a question; add --config FILE or --preset tiny")
        for name, question in asked.items():
            print(f"{name:12} {question.title.of(args.lang)}")
        return 0
    if args.config and args.preset:
        raise ConfigError("paper: --config and --preset both name a recipe; give one of them")
    recipe = args.config or preset(args.preset, list(asked.values()))
    lab = Lab(recipe, words, FOLDER)
    log_to(lab.folder)
    make(lab, list(asked.values()))
    for name, question in asked.items():
        title = f"{name}: {question.title.of(args.lang)}"
        print(write_answer(name, title, question.answer(lab), lab, args.lang))
    print(f"answers: {lab.folder}")
    return 0
