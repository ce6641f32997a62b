"""Records what MediaPipe 0.10.21 computes on a video, stage by stage.

    python holistic_streams.py MODELS VIDEO FOLDER FRAMES [--config CONFIG] [--mirror] [--black FROM TO]

takes the nets that MediaPipe's wheel lacks from MODELS, the settings in pose-format's syntax, the first FRAMES frames, mirrored and some of them blackened where asked for, and writes into FOLDER:

frames.bgr     the frames as pose-format reads them: blue, green, red, without padding
streams.json   size, and for each frame the intermediate results of the holistic graph
pose.f32       frames x (points x (x, y, z), confidences): pose-format's result for the video
"""

import argparse
import itertools
import json
from pathlib import Path

import mediapipe_models
import numpy as np
from mediapipe.python.solution_base import SolutionBase
from pose_format.bin.pose_estimation import parse_additional_config
from pose_format.utils.holistic import load_holistic
from simple_video_utils.frames import read_frames_exact

GRAPH = "mediapipe/modules/holistic_landmark/holistic_landmark_cpu.binarypb"
DETECTOR = "poselandmarkcpu__posedetectioncpu__TensorsToDetectionsCalculator.min_score_thresh"
THRESHOLD = (
    "poselandmarkcpu__poselandmarkbyroicpu__tensorstoposelandmarksandsegmentation__ThresholdingCalculator.threshold"
)
HANDS = "handlandmarksleftandrightcpu__"
FACE = "facelandmarksfromposecpu__"

# Our name for each intermediate result, and its stream in the expanded graph.
STREAMS = {
    "body_region": "poselandmarkcpu__pose_rect",
    "raw_body": "poselandmarkcpu__unfiltered_pose_landmarks",
    "raw_auxiliary": "poselandmarkcpu__unfiltered_auxiliary_landmarks",
    "raw_world": "poselandmarkcpu__unfiltered_world_landmarks",
    "next_body_region": "pose_landmarks_roi",
    "body": "pose_landmarks",
    "world": "pose_world_landmarks",
    "left_rough": HANDS + "left_hand_roi_from_pose",
    "left_expected": HANDS + "left_hand_roi_from_recrop",
    "left_region": HANDS + "left_hand_tracking_roi",
    "left_hand": "left_hand_landmarks",
    "right_rough": HANDS + "right_hand_roi_from_pose",
    "right_expected": HANDS + "right_hand_roi_from_recrop",
    "right_region": HANDS + "right_hand_tracking_roi",
    "right_hand": "right_hand_landmarks",
    "face_rough": FACE + "face_roi_from_pose",
    "face_expected": FACE + "face_roi_from_detection",
    "face_region": FACE + "face_tracking_roi",
    "face": "face_landmarks",
}


def holistic(streams, follow, config):
    """Sets up the graph as solutions.holistic does, with these streams as outputs."""
    return SolutionBase(
        binary_graph_path=GRAPH,
        side_inputs={
            "model_complexity": config.get("model_complexity", 1),
            "smooth_landmarks": config.get("smooth_landmarks", True) and follow,
            "enable_segmentation": False,
            "smooth_segmentation": True,
            "refine_face_landmarks": config.get("refine_face_landmarks", False),
            "use_prev_landmarks": follow,
        },
        calculator_params={
            DETECTOR: config.get("min_detection_confidence", 0.5),
            THRESHOLD: config.get("min_tracking_confidence", 0.5),
        },
        outputs=list(streams),
    )


def plain(value):
    """Converts a packet into lists of numbers."""
    match type(value).__name__:
        case "NoneType":
            return None
        case "NormalizedRect":
            return [value.x_center, value.y_center, value.width, value.height, value.rotation]
        case "NormalizedLandmarkList" | "LandmarkList":
            return [[p.x, p.y, p.z, p.visibility] for p in value.landmark]
        case other:
            raise TypeError(f"a stream of {other}")


def record(frames, streams, follow, config):
    with holistic(streams.values(), follow, config) as graph:
        results = (graph.process({"image": frame}) for frame in frames)
        return [{name: plain(getattr(r, stream)) for name, stream in streams.items()} for r in results]


def read(arguments):
    for i, frame in enumerate(itertools.islice(read_frames_exact(arguments.video), arguments.frames)):
        if arguments.mirror:
            frame = frame[:, ::-1]
        if arguments.black and arguments.black[0] <= i < arguments.black[1]:
            frame = np.zeros_like(frame)
        yield np.ascontiguousarray(frame)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models")
    parser.add_argument("video")
    parser.add_argument("folder", type=Path)
    parser.add_argument("frames", type=int)
    parser.add_argument("--config", default="")
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--black", type=int, nargs=2)
    arguments = parser.parse_args()
    with mediapipe_models.use(arguments.models):
        write(arguments)


def write(arguments):
    folder = arguments.folder
    config = parse_additional_config(arguments.config)
    frames = list(read(arguments))
    height, width, _ = frames[0].shape
    with open(folder / "frames.bgr", "wb") as file:
        for frame in frames:
            file.write(np.ascontiguousarray(frame[:, :, ::-1]))
    found = record(frames, STREAMS, True, config)
    # Without tracking, MediaPipe searches every frame for a person.
    searched = record(frames, {"detected_region": STREAMS["body_region"]}, False, config)
    for one, other in zip(found, searched):
        one.update(other)
    with open(folder / "streams.json", "w") as file:
        json.dump({"width": width, "height": height, "frames": found}, file)
    pose = load_holistic(frames, width=width, height=height, additional_holistic_config=config)
    data = pose.body.data[:, 0].filled(0).reshape(len(frames), -1)
    np.hstack([data, pose.body.confidence[:, 0]]).astype("<f4").tofile(folder / "pose.f32")


if __name__ == "__main__":
    main()
