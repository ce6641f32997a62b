"""Lets MediaPipe find its nets of complexity 0 and 2, which its wheel lacks, without downloading them."""

import tempfile
from pathlib import Path

import mediapipe
from mediapipe.python import solution_base
from mediapipe.python.solutions import holistic

MODULES = "mediapipe/modules"


def use(models):
    """Makes MediaPipe use a folder of links to its own files and to the nets in the folder `models`.

    Returns the folder, which the caller has to remove.
    """
    folder = tempfile.TemporaryDirectory()
    modules = Path(folder.name) / MODULES
    for module in (Path(mediapipe.__file__).parent / "modules").iterdir():
        target = modules / module.name
        if module.name != "pose_landmark":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(module)
            continue
        target.mkdir(parents=True)
        for file in module.iterdir():
            (target / file.name).symlink_to(file)
        for complexity in ("lite", "heavy"):
            net = Path(models).resolve() / f"pose_landmark_{complexity}.tflite"
            if net.exists() and not (target / net.name).exists():
                (target / net.name).symlink_to(net)

    class Resources:
        @staticmethod
        def set_resource_dir(_):
            solution_base_resources.set_resource_dir(folder.name)

    solution_base_resources = solution_base.resource_util
    solution_base.resource_util = Resources
    holistic._download_oss_pose_landmark_model = lambda complexity: None
    return folder
