import shutil
import subprocess

import pytest

from detkit.cli.main import COMMANDS, main


def script(capsys, shell):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def completed(text, *words):
    """What bash offers for the last of the words."""
    line = "COMP_WORDS=(detkit " + " ".join(f"'{word}'" for word in words) + f"); COMP_CWORD={len(words)}"
    asked = f'{text}\n{line}\n_detkit\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_and_their_options(capsys):
    text = script(capsys, "bash")
    assert completed(text, "det") == ["detect"]
    assert completed(text, "detect", "--mo") == ["--model"]
    assert "--until" in completed(text, "train", "-") and "--until" not in completed(text, "detect", "-")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_is_named(capsys, shell):
    text = script(capsys, shell)
    assert len(COMMANDS) == len({c.__name__ for c in COMMANDS})
    for name in ("train", "eval", "list", "data", "completion"):
        assert name in text


def test_another_shell_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["completion", "cmd"])
    assert "invalid choice: 'cmd'" in capsys.readouterr().err
