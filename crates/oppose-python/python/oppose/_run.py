"""Runs over many videos: the program does them, in worker processes, with all its guarantees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import IO, Any, Callable, Iterable, Optional, Union

from ._errors import RunError
from ._options import to_arguments
from ._pose import Path

Event = dict[str, Any]
"""A line of ``oppose-native --progress json``: ``event`` says what happened, to the ``video``."""

_PATIENCE = 30
"""Seconds that the program has to end after Ctrl-C; it gives up its own workers after 20."""


@dataclass
class RunResult:
    """What became of the videos of a run: for each the last event about it."""

    done: list[Event] = field(default_factory=list)
    """Videos that were estimated: ``video``, ``output``, ``frames``, ``people``, ``seconds`` and more."""
    skipped: list[Event] = field(default_factory=list)
    """Videos that were done before: ``video`` and ``reason``."""
    failed: list[Event] = field(default_factory=list)
    """Videos that failed: ``video`` and ``reason``."""

    @property
    def ok(self) -> bool:
        """Whether every video is done."""
        return not self.failed


def program() -> str:
    """The path of the program ``oppose-native`` that comes with this package."""
    return str(FilePath(__file__).with_name("bin") / "oppose-native")


def run(
    inputs: Union[Path, Iterable[Path]],
    output: Optional[Path] = None,
    *,
    on_event: Optional[Callable[[Event], object]] = None,
    **options: Any,
) -> RunResult:
    """Estimates many videos and writes ``.pose`` files, as ``oppose-native INPUTS --output OUTPUT`` does.

    ``inputs`` is a video, a folder of videos, or several of them; ``output`` is a folder, or a file for a single video;
    without it, each file is written beside its video. ``options`` are those of ``oppose-native``, with underscores:
    ``workers=4``, ``gpus="all"``, ``recursive=True``. One bad video never stops the rest, and calling this again
    continues where a run stopped. ``on_event`` is called with each event. After Ctrl-C the program stops between two
    frames before ``KeyboardInterrupt`` reaches you.

    Raises :class:`RunError` if nothing ran. Videos that failed are no exception: see :attr:`RunResult.failed`.
    """
    paths = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    command = [program(), *to_arguments({**options, "progress": "json", "output": output})]
    command += ["--", *map(os.fspath, paths)]
    result = RunResult()
    kinds = {"done": result.done, "skipped": result.skipped, "failed": result.failed}
    with tempfile.TemporaryFile() as messages:
        # A session of its own: on a terminal, Ctrl-C would reach the program twice, and a second one ends it at once.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages, start_new_session=True
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                kinds.get(event["event"], []).append(event)
                if on_event is not None:
                    on_event(event)
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
        if code not in (0, 1):
            raise RunError(_last_words(messages) or f"oppose-native ended with exit code {code}")
    return result


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stops the program between two frames, or for good if that takes too long."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(messages: IO[bytes]) -> str:
    messages.seek(0)
    return "\n".join(messages.read().decode(errors="replace").strip().splitlines()[-20:])
