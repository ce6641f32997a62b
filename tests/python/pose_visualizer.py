"""Draws a frame of a .pose file with pose-format's own PoseVisualizer: FILE FRAME OUT.png"""

import sys
from itertools import islice

import cv2
import numpy as np
from pose_format import Pose
from pose_format.pose_visualizer import PoseVisualizer

with open(sys.argv[1], "rb") as file:
    pose = Pose.read(file.read())
cv2.imwrite(sys.argv[3], next(islice(PoseVisualizer(pose).draw(), int(sys.argv[2]), None)))

# After normalisation, a usual next step, the shoulders are one apart and centred at the origin on average.
first = 11 if pose.header.components[0].name == "POSE_LANDMARKS" else 2
second = 12 if first == 11 else 5
normal = pose.normalize().body.data
left, right = normal[:, :, first], normal[:, :, second]
middle = np.ma.mean((left + right) / 2, axis=(0, 1))
length = np.linalg.norm((left - right).data, axis=-1).mean()
assert np.abs(middle).max() < 1e-3 and abs(length - 1) < 1e-3, (middle, length)
