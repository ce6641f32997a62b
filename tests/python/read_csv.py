"""Checks that a CSV file and a .pose file hold the same points: CSV POSE."""

import csv
import sys

from pose_format import Pose

table, pose = sys.argv[1:]
with open(pose, "rb") as file:
    pose = Pose.read(file.read())
components = pose.header.components
first = {}
for component in components:
    first[component.name] = sum(map(len, (before.points for before in components[: len(first)])))
points = {component.name: component.points for component in components}
found = 0
with open(table, newline="") as file:
    for row in csv.DictReader(file):
        frame, person, name = int(row["frame"]), int(row["person"]), row["component"]
        point = first[name] + points[name].index(row["point"])
        axes = [row[axis] for axis in "xyz" if axis in row]
        of_pose = pose.body.data.data[frame, person, point]
        if [type(number)(text) for number, text in zip(of_pose, axes)] != list(of_pose):
            sys.exit(f"{row} is {of_pose} in the pose file")
        if float(row["time"]) != frame / float(pose.body.fps):
            sys.exit(f"{row} is at {frame / pose.body.fps} seconds")
        of_pose = pose.body.confidence[frame, person, point]
        if type(of_pose)(row["confidence"]) != of_pose:
            sys.exit(f"{row} has confidence {of_pose} in the pose file")
        found += 1
if found != int((pose.body.confidence > 0).sum()):
    sys.exit(f"{found} lines, {(pose.body.confidence > 0).sum()} points")
print(found)
