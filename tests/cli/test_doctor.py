import importlib
from importlib import metadata

import cv2
import pytest
import torch

from detkit.cli.main import main
from detkit.report import doctor


def found(looks):
    return [(finding.level, finding.name, finding.text) for finding in looks]


@pytest.fixture
def without(monkeypatch):
    """Makes a module one that cannot be imported."""
    real = importlib.import_module

    def hide(hidden):
        def refuse(name, *rest):
            if name == hidden:
                raise ImportError(f"no {hidden}")
            return real(name, *rest)

        monkeypatch.setattr(importlib, "import_module", refuse)

    return hide


def test_doctor_goes_through_without_torch_and_ends_with_2(without, capsys):
    without("torch")
    assert main(["doctor"]) == 2
    out = capsys.readouterr().out
    assert "ImportError: no torch; pip install --force-reinstall torch torchvision" in out
    assert "memory" in out and "devices" not in out and "1 problem to solve" in out


def test_opencv_that_cannot_be_imported_is_told_with_the_repair(without):
    without("cv2")
    ((level, _, text),) = found(doctor._guarded("OpenCV", doctor._opencv, doctor.MEND_OPENCV))
    assert level == "bad" and "no cv2" in text and "pip install opencv-contrib-python" in text


def test_opencv_without_a_system_library_is_told_with_the_debian_packages():
    def look():
        raise ImportError("libxcb.so.1: cannot open shared object file: No such file or directory")
        yield

    ((level, _, text),) = found(doctor._guarded("OpenCV", look, doctor.MEND_OPENCV))
    assert level == "bad" and text.endswith("; on Debian: apt-get install libgl1 libglib2.0-0 libxcb1")


def test_opencv_without_ximgproc_names_the_package_that_shadows_it(monkeypatch):
    monkeypatch.delattr(cv2, "ximgproc")
    monkeypatch.setattr(metadata, "version", {"opencv-python": "4.9", "opencv-contrib-python": "4.8"}.__getitem__)
    monkeypatch.setattr(metadata, "PackageNotFoundError", KeyError)
    ((level, _, text),) = found(doctor._opencv())
    assert level == "bad"
    assert "without ximgproc (opencv-python 4.9, opencv-contrib-python 4.8); pip uninstall -y opencv-python" in text


def test_opencv_of_two_packages_is_a_warning(monkeypatch):
    monkeypatch.setattr(metadata, "version", {"opencv-python": "4.9", "opencv-contrib-python": "4.8"}.__getitem__)
    monkeypatch.setattr(metadata, "PackageNotFoundError", KeyError)
    ((level, _, text),) = found(doctor._opencv())
    assert level == "warning" and "but of several packages" in text


def test_torchvision_of_another_torch_is_told(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy", "torch==2.4.1", "pillow"])
    assert doctor.torch_of_torchvision() == "2.4.1"
    ((level, _, text),) = found(doctor._torch())
    assert level == "bad" and "that torchvision was made for torch 2.4.1" in text


def test_a_type_that_the_hardware_is_slow_at_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "_seconds_of", lambda dtype, device: 3.0 if dtype == torch.float32 else 1.0)
    monkeypatch.setattr("detkit.system.compute._is_fast_at_bfloat16", lambda device: False)
    ((level, _, text),) = found(doctor._dtype())
    assert level == "warning"
    assert "bfloat16 runs 3 times as fast; COMPUTE.DTYPE=bfloat16 may be quicker" in text


def test_features_of_the_same_crops_are_the_same_twice():
    first, second = (doctor._features_on("cpu") for _ in range(2))
    assert first.shape[0] == 4 and torch.equal(first, second)


def test_little_space_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_FREE_GB", float("inf"))
    assert doctor._disk().level == "warning"


@pytest.mark.parametrize("error", [AttributeError("no sysconf"), ValueError("unrecognized configuration name")])
def test_a_system_that_does_not_count_memory_is_told(monkeypatch, error):
    def missing(name):
        raise error

    monkeypatch.setattr(doctor.os, "sysconf", missing)
    assert doctor._memory().text == "not measured: this system does not tell it"
