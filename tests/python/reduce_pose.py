"""Runs pose-format's own functions for tests/originals/reductions.rs.

    python reduce_pose.py IN OUT no-world|reduced|all [hide-legs]
"""

import sys

from pose_format import Pose
from pose_format.utils.generic import pose_hide_legs, reduce_holistic


def main():
    source, target, points, *legs = sys.argv[1:]
    with open(source, "rb") as file:
        pose = Pose.read(file.read())
    if points == "no-world":
        pose = pose.remove_components(["POSE_WORLD_LANDMARKS"])
    if points == "reduced":
        pose = reduce_holistic(pose)
    if legs:
        pose = pose_hide_legs(pose)
    with open(target, "wb") as file:
        pose.write(file)


if __name__ == "__main__":
    main()
