"""Makes caffe_networks.npz: what OpenCV's reader of Caffe's files computes for CaffeNet and AlexNet on random weights.

Needs OpenCV 4 (OpenCV 5 has no such importer) in an environment of its own, and is run from the root of the repository:

    python3 -m venv /tmp/opencv4 && /tmp/opencv4/bin/pip install 'opencv-python-headless<5'
    /tmp/opencv4/bin/python -m tests.reference.caffe_networks
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from tests.reference.caffe_writer import SHAPES, caffemodel, kept, random_input, random_weights

ORDERS = {"CaffeNet": ("pool", "norm"), "AlexNet": ("norm", "pool")}
CONVOLUTIONS = {
    "conv1": "kernel_size: 11 stride: 4",
    "conv2": "kernel_size: 5 pad: 2 group: 2",
    "conv3": "kernel_size: 3 pad: 1",
    "conv4": "kernel_size: 3 pad: 1 group: 2",
    "conv5": "kernel_size: 3 pad: 1 group: 2",
}


def prototxt(network: str) -> str:
    """The layers up to fc7, as the network's published definition has them."""
    lines = ['input: "data" input_shape { dim: 2 dim: 3 dim: 227 dim: 227 }']
    top = "data"

    def add(name: str, kind: str, settings: str = "", *, in_place: bool = False) -> None:
        nonlocal top
        bottom, top = top, top if in_place else name
        lines.append(f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {settings} }}')

    for name, settings in CONVOLUTIONS.items():
        i = name[-1]
        add(name, "Convolution", f"convolution_param {{ num_output: {SHAPES[name][0]} {settings} }}")
        add(f"relu{i}", "ReLU", in_place=True)
        for part in {"1": ORDERS[network], "2": ORDERS[network], "5": ("pool",)}.get(i, ()):
            if part == "pool":
                add(f"pool{i}", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")
            else:
                add(f"norm{i}", "LRN", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
    for name in ("fc6", "fc7"):
        add(name, "InnerProduct", "inner_product_param { num_output: 4096 }")
        add(f"relu{name[-1]}", "ReLU", in_place=True)
    return "\n".join(lines)


def outputs(network: str, model: Path, seed: int) -> dict[str, np.ndarray]:
    """pool5, fc6 and fc7 after ReLU of the two crops."""
    definition = model.with_suffix(".prototxt")
    definition.write_text(prototxt(network))
    net = cv2.dnn.readNetFromCaffe(str(definition), str(model))
    net.enableFusion(False)
    net.setInput(random_input(seed), "data")
    names = {"pool5": "pool5", "fc6": "relu6", "fc7": "relu7"}
    return dict(zip(names, net.forward(list(names.values()))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of weights and crops (default: 0)")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".npz"), help="where to write")
    args = parser.parse_args()
    found = {"seed": np.array(args.seed), "opencv": np.array(cv2.__version__)}
    with TemporaryDirectory() as folder:
        model = Path(folder) / "random.caffemodel"
        with model.open("wb") as file:
            file.writelines(caffemodel(random_weights(args.seed)))
        for network in ORDERS:
            rows = kept(outputs(network, model, args.seed))
            found |= {f"{network}/{name}": values for name, values in rows.items()}
    np.savez_compressed(args.output, **found)
    print(f"{args.output}: {args.output.stat().st_size} bytes, of OpenCV {cv2.__version__}")


if __name__ == "__main__":
    main()
