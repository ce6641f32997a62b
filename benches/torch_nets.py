"""The same nets in PyTorch, for comparison: frames per second with one person (body, face, two hands), nets alone.

    python3 benches/torch_nets.py MODEL_FOLDER [fp32] [tf32] [fp16] [compiled] [product]

The architecture of the nets is read from the prototxts; the weights are random. Measures single precision one frame at
a time (as OpenPose does it), TF32, half precision, and half precision with torch.compile; the last two in channels-last
order. With "product", the product of two large matrices, as a limit for what the nets can reach.
"""

import re
import sys
import time

import torch
from torch import nn

FILES = {"body": "pose/body_25/pose_deploy.prototxt", "face": "face/pose_deploy.prototxt", "hand": "hand/pose_deploy.prototxt"}
SIZES = {"body": (368, 496), "face": (368, 368), "hand": (368, 368)}
PER_FRAME = {"body": 1, "face": 1, "hand": 2}


class Net(nn.Module):
    def __init__(self, path):
        super().__init__()
        self.steps, channels = [], {"image": 3}
        self.layers = nn.ModuleList()
        for block in re.findall(r"layer\s*\{(.*?\})?\s*(?=layer\s*\{|\Z)", open(path).read(), re.S):
            kind = re.search(r'type:\s*"(\w+)"', block)[1]
            bottoms, top = re.findall(r'bottom:\s*"(.*?)"', block), re.search(r'top:\s*"(.*?)"', block)[1]
            made, layer = channels[bottoms[0]], None
            if kind == "Convolution":
                made = int(re.search(r"num_output:\s*(\d+)", block)[1])
                kernel = int(re.search(r"kernel_size:\s*(\d+)", block)[1])
                layer = nn.Conv2d(channels[bottoms[0]], made, kernel, padding=kernel // 2)
            elif kind == "ReLU":
                layer = nn.ReLU()
            elif kind == "PReLU":
                layer = nn.PReLU(made)
            elif kind == "Pooling":
                layer = nn.MaxPool2d(2)
            elif kind == "Concat":
                made = sum(channels[bottom] for bottom in bottoms)
            else:
                raise SystemExit(f"{path}: a layer of type {kind}")
            channels[top] = made
            self.steps.append((bottoms, top, None if layer is None else len(self.layers)))
            if layer is not None:
                self.layers.append(layer)
        self.output = self.steps[-1][1]

    def forward(self, image):
        values = {"image": image}
        for bottoms, top, layer in self.steps:
            inputs = [values[bottom] for bottom in bottoms]
            values[top] = torch.cat(inputs, 1) if layer is None else self.layers[layer](inputs[0])
        return values[self.output]


def milliseconds(net, images, kind, dtype, layout):
    height, width = SIZES[kind]
    inputs = (torch.rand(images, 3, height, width, device="cuda") - 0.5).to(dtype).to(memory_format=layout)
    for _ in range(3):
        net(inputs)
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    times = []
    for _ in range(5):
        rounds = max(1, 32 // images)
        start.record()
        for _ in range(rounds):
            net(inputs)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / rounds)
    return sorted(times)[2]


def measure(name, folder, batch, dtype, layout, tf32, compiled):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    total, parts = 0.0, []
    for kind, path in FILES.items():
        net = Net(f"{folder}/{path}").cuda().eval().to(dtype).to(memory_format=layout)
        if compiled:
            torch.compiler.reset()
            net = torch.compile(net, mode="reduce-overhead")
        images = batch * PER_FRAME[kind]
        each = milliseconds(net, images, kind, dtype, layout) / batch
        parts.append(f"{kind} {each:.3f}")
        total += each
    print(f"PyTorch {torch.__version__}, {name}, batch {batch}: {1000 / total:.0f} frames per second ({', '.join(parts)} ms)", flush=True)


def product(seconds=2, size=8192):
    """Half precision, as long as it takes the GPU to reach the limit of its power."""
    left, right = (torch.randn(size, size, device="cuda", dtype=torch.float16) for _ in range(2))
    result = left @ right
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    cells, started, rounds = [], time.time(), 200
    while time.time() - started < seconds:
        start.record()
        for _ in range(rounds):
            torch.matmul(left, right, out=result)
        end.record()
        end.synchronize()
        cells.append(f"{2e-9 * size**3 * rounds / start.elapsed_time(end):.0f}")
    print(f"product of two {size} x {size} matrices, TFLOP/s, one after another: {', '.join(cells)}", flush=True)


def main():
    folder = sys.argv[1]
    kinds = sys.argv[2:] or ["fp32", "tf32", "fp16", "compiled"]
    plain, last = torch.contiguous_format, torch.channels_last
    with torch.inference_mode():
        if "product" in kinds:
            product()
        if "fp32" in kinds:
            measure("fp32", folder, 1, torch.float32, plain, False, False)
        if "tf32" in kinds:
            measure("tf32", folder, 4, torch.float32, plain, True, False)
        if "fp16" in kinds:
            measure("fp16", folder, 16, torch.float16, last, True, False)
        if "compiled" in kinds:
            for batch in (8, 16):
                started = time.time()
                measure("fp16 compiled", folder, batch, torch.float16, last, True, True)
                print(f"  (compiled in {time.time() - started:.0f} s)")


main()
