"""``detkit completion``: a script with which a shell completes commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

BASH = """_detkit() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{names}" -- "$current"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  if [ -n "$words" ] && [ "${{current:0:1}}" = - ]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}}
complete -o filenames -F _detkit detkit
"""
ZSH = """#compdef detkit
_detkit() {{
  local words_of
  if (( CURRENT == 2 )); then
    compadd -- {names}
    return
  fi
  case "$words[2]" in
{cases}
  esac
  if [[ -n "$words_of" && "$PREFIX" == -* ]]; then
    compadd -- ${{=words_of}}
  else
    _files
  fi
}}
compdef _detkit detkit
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "completion",
        help="print a script with which a shell completes detkit's commands and options",
        description="Prints a script for a shell. Save it where the shell looks for completions.",
    )
    parser.add_argument("shell", choices=sorted(_SCRIPTS))
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints the script of a shell."""
    from detkit.cli.main import COMMANDS

    commands = argparse.ArgumentParser(prog="detkit").add_subparsers()
    options: dict[str, list[str]] = {}
    for command in COMMANDS:
        parser = command.add_parser(commands)
        options[parser.prog.split()[1]] = [word for a in parser._actions for word in a.option_strings] + ["--debug"]
    print(_SCRIPTS[args.shell](options), end="")
    return 0


def _bash(options: Mapping[str, list[str]]) -> str:
    return BASH.format(names=" ".join(options), cases=_cases(options, "words"))


def _zsh(options: Mapping[str, list[str]]) -> str:
    return ZSH.format(names=" ".join(options), cases=_cases(options, "words_of"))


def _cases(options: Mapping[str, list[str]], variable: str) -> str:
    return "\n".join(f'    {name}) {variable}="{" ".join(words)}" ;;' for name, words in options.items())


def _fish(options: Mapping[str, list[str]]) -> str:
    lines = [f'complete -c detkit -n __fish_use_subcommand -f -a "{" ".join(options)}"']
    for name, words in options.items():
        for word in words:
            kind = "-l" if word.startswith("--") else "-s"
            lines.append(f'complete -c detkit -n "__fish_seen_subcommand_from {name}" {kind} {word.lstrip("-")}')
    return "\n".join(lines) + "\n"


_SCRIPTS: Mapping[str, Callable[[Mapping[str, list[str]]], str]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
