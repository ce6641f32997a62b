"""Draws a .pose file over its video with pose-format's own PoseVisualizer.

    pose_visualizer.py VIDEO POSE OUT [same]

Works as `visualize_pose` does. With `same`, the pictures go to an ffmpeg with our settings instead, so that both encoders
do the same work. Needs pose-format, OpenCV and vidgear.
"""
import subprocess
import sys

from pose_format import Pose
from pose_format.pose_visualizer import PoseVisualizer

video, pose_file, target = sys.argv[1:4]
with open(pose_file, "rb") as file:
    pose = Pose.read(file.read())
visualizer = PoseVisualizer(pose)
frames = visualizer.draw_on_video(video)
if sys.argv[4:] == ["same"]:
    size = pose.header.dimensions
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24"]
    command += ["-s", f"{size.width}x{size.height}", "-r", str(pose.body.fps), "-i", "-"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", target]
    encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
    for frame in frames:
        encoder.stdin.write(frame.tobytes())
    encoder.stdin.close()
    sys.exit(encoder.wait())
visualizer.save_video(target, frames)
