"""The reference: every component with its keys, every section of a config, every command; from the code itself."""

from __future__ import annotations

import argparse
import inspect
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from pages import DOCS, GENERATED, write_if_new
from sphinx.application import Sphinx

INTRODUCTIONS = {
    "DATASETS": "Where images and annotations come from.",
    "PROPOSAL_GENERATORS": "Where objects may be.",
    "BACKBONES": "The network.",
    "REGION_EXTRACTORS": "How a region becomes features.",
    "REGION_SAMPLERS": "What a fine-tuning step sees.",
    "CLASSIFIERS": "How features become scores.",
    "BOX_HEADS": "How a region moves.",
    "OBJECTIVES": "What a network is tuned to.",
    "EVALUATORS": "How detections are judged.",
    "STAGES": "The steps of a run.",
}


def _cell(text: str) -> str:
    return _ticks(text.replace("|", "\\|").replace("\n", " "))


def _ticks(text: str) -> str:
    """The double backticks of docstrings as Markdown's single ones; fences have three and stay."""
    return re.sub(r"(?<!`)``(?!`)", "`", text)


def _keys(component: Callable[..., Any], prefix: str = "") -> str:
    """A table of a component's keys: name, default, what is allowed, meaning."""
    from detkit.config.check import expected
    from detkit.config.schema import fields_of, texts_of
    from detkit.config.yaml_file import value_text

    fields, texts = fields_of(component), texts_of(component)
    if not fields:
        return "It has no keys.\n"
    rows = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    for key, field in fields.items():
        default = value_text(field.default) or '""'
        cells = (f"`{prefix}{key}`", f"`{default}`", expected(field.annotation), texts.get(key, ""))
        rows.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _text(component: Callable[..., Any]) -> str:
    """The docstring as Markdown, without the arguments, which the table holds."""
    text = re.sub(r"^Args:\n(?:[ ]+.*\n|\n(?=[ ]))*", "", inspect.cleandoc(component.__doc__ or "") + "\n", flags=re.M)
    text = re.sub(r"^(Raises|Returns|Example|Examples):\n((?:[ ]+.*\n|\n(?=[ ]))+)", _section, text, flags=re.M)
    return _ticks(text).strip() + "\n"


def _section(found: re.Match[str]) -> str:
    body = inspect.cleandoc("\n" + found[2]).strip()
    if found[1].startswith("Example"):
        return f"\n```python\n{body}\n```\n"
    items = re.sub(r"\n +", " ", body)
    return f"\n**{found[1]}**\n\n" + "\n".join(f"- {line}" for line in items.splitlines()) + "\n"


def _components() -> list[str]:
    from detkit.components import load_components
    from detkit.config.project import bundled_projects, import_named
    from detkit.registry import ALL_REGISTRIES, STAGES

    load_components()
    for project in bundled_projects():
        import_named(str(project), "detkit")
    written = []
    for registry in ALL_REGISTRIES:
        lines = [f"# {registry.name}\n", f"{INTRODUCTIONS[registry.name]}\n"]
        for name in registry.names():
            component = registry.get(name)
            module = component.__module__.removeprefix("detkit.") if ".projects." in component.__module__ else ""
            where = (module or component.__module__).replace(".", "/") + ".py"
            lines += [f"## {name}\n", _text(component), _keys(component), f"Code: `{where}`\n"]
            for section, settings in component.settings.items() if registry is STAGES else ():
                lines += [f"### {name}: section {section}\n", _text(settings), _keys(settings, f"{section}.")]
        written.append(registry.name.lower())
        write_if_new(GENERATED / f"{written[-1]}.md", "\n".join(lines))
    return written


def _sections() -> None:
    from detkit.config.layout import SECTIONS, SLOTS

    lines = ["# Slots and sections\n", "Keys that stand beside a component's name, and sections of settings.\n"]
    for key, slot in SLOTS.items():
        page = slot.registry.name.lower()
        lines += [f"## {key}\n", f"`{key}.NAME` takes a name of [{slot.registry.name}]({page}.md); default"]
        lines += [f"`{slot.default}`.\n", *([_text(slot.keys), _keys(slot.keys, f"{key}.")] if slot.keys else [])]
    for key, settings in SECTIONS.items():
        lines += [f"## {key}\n", _text(settings), _keys(settings, f"{key}.")]
    write_if_new(GENERATED / "slots.md", "\n".join(lines))


def _commands() -> None:
    from detkit.cli.main import COMMANDS

    os.environ["COLUMNS"] = "98"  # argparse wraps its help at the width of the terminal
    parser = argparse.ArgumentParser(prog="detkit")
    subparsers = parser.add_subparsers()
    lines = ["# Commands\n", "What `detkit COMMAND --help` prints.\n"]
    for command in COMMANDS:
        own = command.add_parser(subparsers)
        lines += [f"## {own.prog}\n", f"```text\n{own.format_help()}```\n"]
    write_if_new(GENERATED / "commands.md", "\n".join(lines))


def _generate(app: Sphinx) -> None:
    names = _components()
    _sections()
    _commands()
    index = "# Components\n\nEach key with its default, what it allows and what it means, from the code itself.\n\n"
    index += "```{toctree}\n" + "\n".join(names) + "\n```\n"
    write_if_new(DOCS / "generated" / "components.md", index)


def setup(app: Sphinx) -> Mapping[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
