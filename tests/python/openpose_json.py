"""Converts a folder of OpenPose's JSON with pose-format: FOLDER FPS WIDTH HEIGHT FRAMES OUTPUT."""
import sys

from pose_format.utils.openpose import load_openpose_directory

folder, fps, width, height, frames, output = sys.argv[1:]
pose = load_openpose_directory(
    folder, fps=float(fps), width=int(width), height=int(height), num_frames=int(frames) or None
)
with open(output, "wb") as file:
    pose.write(file)
