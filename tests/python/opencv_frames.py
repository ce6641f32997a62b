"""Decodes a video as others do, and prints for each frame the MD5 of its blue, green and red bytes.

    python opencv_frames.py opencv|pose-format VIDEO
"""

import hashlib
import sys

import cv2
import numpy as np
from simple_video_utils.frames import read_frames_exact


def opencv(path):
    video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    while True:
        found, frame = video.read()
        if not found:
            return
        yield frame


def pose_format(path):
    for frame in read_frames_exact(path):
        yield frame[:, :, ::-1]


reader, path = sys.argv[1:]
for frame in (opencv if reader == "opencv" else pose_format)(path):
    print(hashlib.md5(np.ascontiguousarray(frame).tobytes()).hexdigest())
