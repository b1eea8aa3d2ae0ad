from __future__ import annotations

from detkit.config import load_config


def test_paths_are_looked_up_in_the_working_folder_or_beside_the_file_or_at_home(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    text = "DATA: {VOC: {ROOT: %s}}\nBACKBONE: {WEIGHTS: '%s'}\nOUTPUT_DIR: %s\n"
    config = load_config(write(text % ("photos", "torchvision:DEFAULT", ".hidden"), "sub/r.yaml"))
    assert (config.DATA.VOC.ROOT, config.OUTPUT_DIR) == ("photos", ".hidden")
    assert config.BACKBONE.WEIGHTS == "torchvision:DEFAULT"
    config = load_config(write(text % ("./photos", "~/w.pth", ".."), "sub/r.yaml"))
    assert config.DATA.VOC.ROOT == f"{tmp_path}/sub/photos"
    assert config.BACKBONE.WEIGHTS == "/home/someone/w.pth"
    assert config.OUTPUT_DIR == f"{tmp_path}/sub/.."
    write(text % ("../photos", "w.pth", "~/runs/{split}"), "sub/base.yaml")
    config = load_config(write("_BASE_: ../sub/base.yaml\n", "other/r.yaml"), ["BACKBONE.WEIGHTS=../w.pth"])
    assert config.DATA.VOC.ROOT == f"{tmp_path}/sub/../photos"
    assert config.OUTPUT_DIR == "/home/someone/runs/{split}"
    assert config.BACKBONE.WEIGHTS == f"{tmp_path}/../w.pth"
    assert load_config(write(config.text(), "runs/x/config.yaml")).text() == config.text()
