"""Video in, ``.pose`` out: the keypoints of the people in every frame of a video, as NumPy arrays or as files.

>>> import oppose
>>> pose = oppose.estimate("video.mp4")
>>> pose.points.shape                   # frames × people × points × coordinates
>>> pose.write("video.pose")

:func:`estimate` and :func:`estimate_frames` work in this process, :class:`Estimator` for several videos; :func:`run`
processes whole folders in worker processes. :func:`read` and :func:`write` are for ``.pose`` files.
"""

import os as _os
from pathlib import Path as _Path

from . import _native
from ._errors import EngineError, Error, ModelsNotFoundError, OptionsError, PoseError, RunError, VideoError
from ._estimate import Estimator, Progress, estimate, estimate_frames
from ._pose import Component, Header, Pose, read, write
from ._run import Event, RunResult, program, run

__version__ = _native.VERSION
__all__ = [
    "Component",
    "EngineError",
    "Error",
    "Estimator",
    "Event",
    "Header",
    "ModelsNotFoundError",
    "OptionsError",
    "Pose",
    "PoseError",
    "Progress",
    "RunError",
    "RunResult",
    "VideoError",
    "estimate",
    "estimate_frames",
    "program",
    "read",
    "run",
    "write",
]

# What comes with the package. The program finds it beside itself; this module is in another program, Python.
_folder = _Path(__file__).parent
_native.set_models(str(_folder / "models"))
if (_folder / "bin" / "kernels").is_dir():
    _os.environ.setdefault("OPPOSE_KERNELS", str(_folder / "bin" / "kernels"))
