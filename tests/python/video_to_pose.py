"""Runs pose-format's video_to_pose on a video, with local nets.

    python video_to_pose.py MODELS VIDEO POSE [CONFIG]
"""

import sys

import mediapipe_models
from pose_format.bin.pose_estimation import parse_additional_config, pose_video


def main():
    models, video, pose, *config = sys.argv[1:]
    with mediapipe_models.use(models):
        pose_video(video, pose, "mediapipe", parse_additional_config(*config or [""]), progress=False)


if __name__ == "__main__":
    main()
