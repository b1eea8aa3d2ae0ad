import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from detkit.errors import ConfigError
from detkit.system import compute as compute_module
from detkit.system.compute import Compute


def on(monkeypatch, tmp_path, cpuinfo):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\n{cpuinfo}\nprocessor\t: 1\n{cpuinfo}\n")
    monkeypatch.setattr(compute_module, "CPUINFO", path)
    return Compute.resolve(device="cpu")


@pytest.mark.parametrize(
    ("cpuinfo", "dtype"),
    [
        ("flags\t\t: fpu sse avx2 fma", torch.float32),
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", torch.bfloat16),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile", torch.bfloat16),
        ("Features\t: fp asimd bf16 i8mm", torch.bfloat16),
        ("model name\t: no flags at all", torch.float32),
    ],
)
def test_auto_takes_bfloat16_only_where_the_processor_multiplies_it(monkeypatch, tmp_path, cpuinfo, dtype):
    assert on(monkeypatch, tmp_path, cpuinfo).dtype == dtype


def test_auto_is_float32_where_the_processor_is_not_known(monkeypatch, tmp_path):
    monkeypatch.setattr(compute_module, "CPUINFO", tmp_path / "absent")
    assert Compute.resolve(device="cpu").dtype == torch.float32


def test_auto_takes_the_cpu_where_there_is_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Compute.resolve().device == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ConfigError, match=rf"RUNTIME\.DEVICE: no device '{device}' here; use auto or one of cpu"):
        Compute.resolve(device=device)


def test_name_tells_what_changes_numbers():
    cpu = torch.device("cpu")
    assert Compute(cpu, torch.float32, False).name == "float32"
    assert Compute(cpu, torch.bfloat16, True).name == "bfloat16-compiled"
    assert Compute(torch.device("cuda", 1), torch.float32, False).name == "float32"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_passes_run_in_the_dtype_and_weights_stay_float32(dtype):
    compute = Compute(torch.device("cpu"), dtype, False)
    layer = compute.prepare(nn.Conv2d(3, 4, 3))
    with compute.autocast():
        assert layer(torch.zeros(1, 3, 5, 5)).dtype == dtype
    assert layer.weight.dtype == torch.float32
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_methods_of_a_backbone_are_compiled_once_and_only_in_eval_mode(monkeypatch, backbone):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda method: compiled.append(method.__name__) or method)
    compute = Compute(torch.device("cpu"), torch.float32, True)
    compute.prepare(backbone().train())
    assert compiled == []
    net = compute.prepare(backbone().eval())
    assert compute.prepare(net) is net
    assert compiled == ["map", "advance", "after_pool"]


def test_nothing_is_compiled_unless_asked_for(monkeypatch, backbone, cpu):
    monkeypatch.setattr(torch, "compile", lambda method: pytest.fail("compiled"))
    cpu.prepare(backbone().eval())


def test_a_machine_that_cannot_compile_is_warned_of(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no working C++ compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match=r"COMPUTE\.COMPILE is off: .*\(no working C\+\+ compiler\)"):
        compute = Compute.resolve(device="cpu", dtype="float32", compile=True)
    assert compute.name == "float32"


def test_torch_is_not_heard_on_a_missing_cuda_device_that_nobody_asked_for():
    """With CUDA_HOME set torch warns when it imports what compiling needs; each process imports it once."""
    program = (
        "import torch\nfrom detkit.system.compute import Compute\ntorch.cuda.is_available = lambda: False\n"
        "torch.compile = lambda f, **k: f\nCompute.resolve(device='cpu', dtype='float32', compile=True)\n"
        "import sys\nassert 'torch.utils.cpp_extension' in sys.modules"
    )
    environment = {**os.environ, "CUDA_HOME": "/nowhere"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_network_that_cannot_be_compiled_runs_as_it_is_with_one_warning(monkeypatch, backbone):
    def broken(method):
        def run(*given):
            raise RuntimeError("C++ compile error\nsecond line")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    net = backbone().eval()
    crops = torch.randn(2, 3, 8, 8)
    expected = net(crops, ["fc7"])["fc7"]
    Compute(torch.device("cpu"), torch.float32, compile=True).prepare(net)
    with pytest.warns(UserWarning, match=r"COMPUTE\.COMPILE is off: .*\(C\+\+ compile error\)") as warned:
        found = [net(crops, ["fc7"])["fc7"] for _ in range(2)]
    assert len(warned) == 1
    assert all(torch.equal(f, expected) for f in found)


def test_a_mistake_of_the_caller_is_none_of_the_compilers(monkeypatch, backbone):
    monkeypatch.setattr(torch, "compile", lambda method: method)
    net = Compute(torch.device("cpu"), torch.float32, compile=True).prepare(backbone().eval())
    with pytest.raises(KeyError, match="fc9"):
        net(torch.randn(1, 3, 8, 8), ["fc9"])
    assert "map" in vars(net)
