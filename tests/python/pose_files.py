"""Runs the real pose-format package for tests/originals/pose_format.rs.

write FOLDER SKELETON   writes every case of a skeleton as NAME.pose, some of them in version 0.1 too
rewrite IN OUT          reads a file and writes what it has read
numbers FILE            prints what the package reads, as JSON
normalize FILE          normalises by the shoulders and prints their mean distance and middle, as JSON
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
from pose_format.utils.generic import pose_normalization_info
from pose_format.utils.openpose import OpenPose_Components


def components_of(skeleton):
    if skeleton == "openpose":
        return OpenPose_Components
    # Imported only here because it needs MediaPipe.
    from pose_format.utils.holistic import holistic_components

    return holistic_components()


# Name, skeleton, frames per second, number of people in each frame: as in tests/originals/pose_format.rs.
CASES = [
    ("one", "holistic", 25.0, [1] * 5),
    ("nobody", "openpose", 24.0, [0] * 4),
    ("several", "openpose", 50.0, [3] * 7),
    ("changing", "openpose", 30000 / 1001, [0, 2, 1, 5, 0, 3]),
    ("no_frames", "openpose", 29.97, []),
    ("ntsc", "holistic", 30000 / 1001, [1, 0, 1]),
]


def body(case):
    """Made-up numbers that f32 represents exactly; absent people are all zeros."""
    _, skeleton, fps, counts = case
    components = components_of(skeleton)
    points = sum(len(component.points) for component in components)
    dimensions = len(components[0].format) - 1
    people = max(counts, default=0)
    data = np.zeros((len(counts), people, points, dimensions), np.float32)
    confidence = np.zeros((len(counts), people, points), np.float32)
    for frame, count in enumerate(counts):
        size = count * points
        data[frame, :count] = (np.arange(size * dimensions) % 4096 * 0.25 + frame).reshape(count, points, dimensions)
        confidence[frame, :count] = (np.arange(size) % 9 / 8).reshape(count, points)
    return NumPyPoseBody(fps, data, confidence)


def header(case):
    return PoseHeader(0.2, PoseHeaderDimensions(640, 480), components_of(case[1]))


def write(folder, skeleton):
    cases = [case for case in CASES if case[1] == skeleton]
    for case in cases:
        with open(folder / f"{case[0]}.pose", "wb") as file:
            Pose(header(case), body(case)).write(file)
    # The package reads version 0.1 but no longer writes it; it differs in the version and in the start of the body.
    for case in cases:
        if case[0] in ("one", "several"):
            written = (folder / f"{case[0]}.pose").read_bytes()
            of = body(case)
            frames, people, points, dimensions = of.data.shape
            size = 4 * frames * people * points * (dimensions + 1)
            head = written[4 : len(written) - size - 10]
            start = struct.pack("<HHH", int(of.fps), frames, people)
            old = struct.pack("<f", 0.1) + head + start + written[len(written) - size :]
            (folder / f"{case[0]}.v0_1.pose").write_bytes(old)


def numbers(path):
    pose = Pose.read(path.read_bytes())
    print(
        json.dumps(
            {
                "fps": float(pose.body.fps),
                "width": pose.header.dimensions.width,
                "height": pose.header.dimensions.height,
                "shape": pose.body.data.shape,
                "coordinates": pose.body.data.data.ravel().tolist(),
                "confidences": np.asarray(pose.body.confidence).ravel().tolist(),
                "masked": int(np.asarray(pose.body.data.mask).sum()),
            }
        )
    )


def normalize(path):
    pose = Pose.read(path.read_bytes())
    info = pose_normalization_info(pose.header)
    names = [f"{component.name}.{point}" for component in pose.header.components for point in component.points]
    pose.normalize(info)
    a, b = pose.body.data[:, :, info.p1], pose.body.data[:, :, info.p2]
    print(
        json.dumps(
            {
                "points": [names[info.p1], names[info.p2]],
                "distance": float(np.ma.sqrt(((a - b) ** 2).sum(axis=-1)).mean()),
                "middle": np.ma.mean((a + b) / 2, axis=(0, 1)).tolist(),
            }
        )
    )


def main():
    command, *arguments = sys.argv[1:]
    paths = [Path(argument) for argument in arguments]
    if command == "write":
        write(paths[0], arguments[1])
    elif command == "rewrite":
        pose = Pose.read(paths[0].read_bytes())
        with open(paths[1], "wb") as file:
            pose.write(file)
    elif command == "numbers":
        numbers(*paths)
    elif command == "normalize":
        normalize(*paths)
    else:
        sys.exit(f"unknown command {command}")


main()
