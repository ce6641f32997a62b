"""Tests of the installed package: python -m unittest discover crates/oppose-python/tests

They need the package as scripts/build-wheel.sh builds it, and the sample from the repository.
"""

import _thread
import logging
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import oppose

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY / "assets" / "sample.mp4"
FRAMES = 90

# A process that a shell starts in the background ignores Ctrl-C, which the tests need.
signal.signal(signal.SIGINT, signal.default_int_handler)


def png(frame):
    """The bytes of a picture as a PNG file."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = frame.shape
    # Each row starts with the number of its filter; 0 is none.
    rows = b"".join(b"\0" + row.tobytes() for row in frame)
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Case(unittest.TestCase):
    """A test with a temporary folder."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program_output(self, *options, video=SAMPLE):
        """The bytes that the program writes for the same video."""
        output = self.folder / "program.pose"
        command = [oppose.program(), str(video), "-o", str(output), "--overwrite", "--progress", "none", *options]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return output.read_bytes()

    def truncated_video(self):
        """A truncated video."""
        video = self.folder / "truncated_video.mp4"
        video.write_bytes(SAMPLE.read_bytes()[:60_000])
        return video


class Estimating(Case):
    def test_the_module_gives_the_same_bytes_as_the_program(self):
        for options, arguments in [
            ({}, []),
            ({"points": "reduced", "fps": "30000/1001"}, ["--points=reduced", "--fps=30000/1001"]),
            (
                {"additional_config": {"refine_face_landmarks": True, "smooth_landmarks": False}, "hide_legs": True},
                ["--refine-face-landmarks", "--no-smooth-landmarks", "--hide-legs"],
            ),
        ]:
            with self.subTest(options):
                pose = oppose.estimate(SAMPLE, **options)
                self.assertEqual(pose.to_bytes(), self.program_output(*arguments))
                pose.write(self.folder / "module.pose", overwrite=True)
                self.assertEqual((self.folder / "module.pose").read_bytes(), pose.to_bytes())

    def test_a_pose_has_the_expected_shape(self):
        pose = oppose.estimate(SAMPLE, engine="holistic")
        self.assertEqual(pose.points.shape, (FRAMES, 1, 576, 3))
        self.assertEqual(pose.confidence.shape, (FRAMES, 1, 576))
        self.assertEqual((pose.points.dtype, pose.confidence.dtype), (np.float32, np.float32))
        self.assertGreater(pose.confidence[:, :, :33].mean(), 0.5)
        self.assertEqual(sum(len(component.points) for component in pose.header.components), 576)

    def test_frames_given_as_arrays_give_the_same_numbers(self):
        frames = [np.full((64, 96, 3), (index, 100, 200), np.uint8) for index in range(6)]
        pictures = self.folder / "frames"
        pictures.mkdir()
        for index, frame in enumerate(frames):
            (pictures / f"{index}.png").write_bytes(png(frame))
        expected = self.program_output("--fps=25", video=pictures)
        self.assertEqual(oppose.estimate_frames(iter(frames), fps=25).to_bytes(), expected)
        swapped = oppose.estimate_frames((frame[:, :, ::-1] for frame in frames), fps=Fraction(25), channels="bgr")
        self.assertEqual(swapped.to_bytes(), oppose.estimate_frames(frames, fps="25").to_bytes())
        self.assertEqual(swapped.points.shape[0], len(frames))

    def test_a_reused_estimator_gives_the_same_result(self):
        estimator = oppose.Estimator(engine="holistic")
        self.assertEqual(estimator.open()["name"], "holistic")
        first, second = estimator.estimate(SAMPLE), estimator.estimate(SAMPLE)
        self.assertEqual(first.to_bytes(), second.to_bytes())

    def test_progress_is_reported(self):
        reported = []
        oppose.estimate(SAMPLE, on_progress=reported.append)
        self.assertTrue(reported)
        self.assertEqual(reported[-1].announced_frames, FRAMES)
        self.assertGreater(reported[-1].frames_per_second, 0)
        self.assertEqual([progress.frames for progress in reported], sorted(progress.frames for progress in reported))

    def test_other_threads_run_meanwhile(self):
        count, done = [0], threading.Event()

        def counting():
            while not done.is_set():
                count[0] += 1
                time.sleep(0.001)

        thread = threading.Thread(target=counting)
        thread.start()
        oppose.estimate(SAMPLE)
        done.set()
        thread.join()
        self.assertGreater(count[0], 50)

    def test_ctrl_c_ends_an_estimation_and_the_estimator_stays_usable(self):
        estimator = oppose.Estimator(engine="holistic")
        estimator.open()

        def endless():
            for index in range(100_000):
                if index == 5:
                    _thread.interrupt_main()
                yield np.zeros((64, 64, 3), np.uint8)

        with self.assertRaises(KeyboardInterrupt):
            estimator.estimate_frames(endless(), fps=25)
        with self.assertRaises(KeyboardInterrupt):
            estimator.estimate(SAMPLE, on_progress=lambda _: _thread.interrupt_main())
        self.assertEqual(estimator.estimate(SAMPLE).to_bytes(), self.program_output())

    def test_exceptions_in_callbacks_propagate(self):
        def failing():
            yield np.zeros((64, 64, 3), np.uint8)
            raise ZeroDivisionError("mine")

        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            oppose.estimate_frames(failing(), fps=25)
        with self.assertRaises(ZeroDivisionError):
            oppose.estimate(SAMPLE, on_progress=lambda progress: 1 // 0)


class Errors(Case):
    def test_options(self):
        for options, message in [
            ({"face": False}, "no option face; did you mean no_face"),
            ({"engine": "other"}, "holistic"),
            ({"fps": "fast"}, "not a frame rate"),
            ({"workers": 2}, "oppose.run"),
            ({"engine": "openpose"}, "oppose.run"),
        ]:
            with self.subTest(options), self.assertRaisesRegex(oppose.OptionsError, message):
                oppose.estimate(SAMPLE, **options)
        self.assertTrue(issubclass(oppose.OptionsError, ValueError))

    def test_models(self):
        with self.assertRaisesRegex(oppose.ModelsNotFoundError, "no models"):
            oppose.estimate(SAMPLE, engine="holistic", model_folder=self.folder)

    def test_videos(self):
        with self.assertRaisesRegex(oppose.VideoError, "does not exist"):
            oppose.estimate(self.folder / "none.mp4")
        with self.assertRaises(oppose.VideoError) as caught:
            oppose.estimate(self.truncated_video())
        self.assertIn("partial", str(caught.exception))
        partial = caught.exception.partial
        self.assertTrue(0 < partial.points.shape[0] < FRAMES, partial)

    def test_frames(self):
        wrong = [
            ([], "yielded nothing"),
            ([np.zeros((64, 64), np.uint8)], "frame 0"),
            ([np.zeros((64, 64, 3), np.float32)], "float32"),
            ([np.zeros((64, 64, 3), np.uint8), np.zeros((64, 65, 3), np.uint8)], "frame 1"),
            ([np.zeros((8, 8, 3), np.uint8)], "8x8"),
        ]
        for frames, message in wrong:
            with self.subTest(message), self.assertRaisesRegex(oppose.VideoError, message):
                oppose.estimate_frames(frames, fps=25)

    def test_warnings_are_logged(self):
        with self.assertLogs("oppose", logging.WARNING) as logged:
            oppose.estimate(REPOSITORY / "tests" / "clips" / "vfr.mp4")
        self.assertIn("variable frame rate", logged.output[0])


class Files(Case):
    def test_a_round_trip_preserves_a_file(self):
        for file in sorted((REPOSITORY / "tests" / "data" / "cases").glob("**/*.pose")):
            try:
                pose = oppose.read(file)
            except oppose.PoseError:
                continue
            with self.subTest(file.name):
                again = oppose.Pose.from_bytes(pose.to_bytes())
                np.testing.assert_array_equal(again.points, pose.points)
                np.testing.assert_array_equal(again.confidence, pose.confidence)
                self.assertEqual(again.header.components, pose.header.components)

    def test_a_pose_made_from_arrays_can_be_written(self):
        component = oppose.Component("HEAD", "XYC", ["nose", "chin"], [(0, 1)], [(255, 0, 0)])
        header = oppose.Header(640, 480, [component])
        pose = oppose.Pose(np.ones((3, 1, 2, 2)), np.ones((3, 1, 2)), 29.97, header)
        path = self.folder / "own.pose"
        oppose.write(pose, path)
        self.assertEqual(oppose.read(path).header, oppose.Header(640, 480, [component], version=oppose.read(path).header.version))
        with self.assertRaisesRegex(oppose.PoseError, "exists already"):
            oppose.write(pose, path)
        with self.assertRaisesRegex(oppose.PoseError, "do not fit the header"):
            oppose.Pose(np.ones((3, 1, 3, 2)), np.ones((3, 1, 3)), 25, header).to_bytes()
        with self.assertRaisesRegex(oppose.PoseError, "not a .pose file|cut off|unknown"):
            oppose.read(SAMPLE)

    def test_pose_format_reads_the_same(self):
        try:
            import pose_format
        except ImportError:
            self.skipTest("pose-format is not installed")
        pose = oppose.estimate(SAMPLE)
        theirs = pose.to_pose_format()
        self.assertIsInstance(theirs, pose_format.Pose)
        np.testing.assert_array_equal(np.asarray(theirs.body.data.filled(0)), pose.points * (pose.confidence > 0)[..., None])
        np.testing.assert_array_equal(np.asarray(theirs.body.confidence), pose.confidence)


class Runs(Case):
    def test_a_folder_is_processed_and_continued(self):
        videos = self.folder / "videos"
        videos.mkdir()
        for name in ["a.mp4", "b.mp4"]:
            (videos / name).write_bytes(SAMPLE.read_bytes())
        self.truncated_video().rename(videos / "c.mp4")
        events = []
        result = oppose.run(videos, self.folder / "poses", workers=2, on_event=events.append)
        self.assertEqual((len(result.done), len(result.failed), result.ok), (2, 1, False))
        self.assertTrue(result.failed[0]["video"].endswith("c.mp4"))
        self.assertEqual({"started", "done", "failed", "summary"} - {event["event"] for event in events}, set())
        self.assertEqual((self.folder / "poses" / "a.pose").read_bytes(), self.program_output())
        self.assertEqual(len(oppose.run([videos / "a.mp4", videos / "b.mp4"], self.folder / "poses").skipped), 2)

    def test_a_run_that_cannot_start_says_why(self):
        with self.assertRaisesRegex(oppose.RunError, "does not exist"):
            oppose.run(self.folder / "none", self.folder)
        with self.assertRaisesRegex(oppose.OptionsError, "no option"):
            oppose.run(self.folder, wrokers=2)

    def test_ctrl_c_stops_the_program(self):
        videos = self.folder / "videos"
        videos.mkdir()
        for index in range(20):
            (videos / f"{index}.mp4").write_bytes(SAMPLE.read_bytes())

        def interrupt(event):
            if event["event"] == "started":
                _thread.interrupt_main()

        with self.assertRaises(KeyboardInterrupt):
            oppose.run(videos, self.folder / "poses", on_event=interrupt)
        left = [name for name in os.listdir(self.folder / "poses") if name.endswith(".tmp")]
        self.assertEqual(left, [])
        journal = (self.folder / "poses" / "oppose.jsonl").read_text()
        self.assertIn('"stopped"', journal)


class Package(Case):
    def test_the_command_is_the_program(self):
        command = Path(sys.executable).with_name("oppose-native")
        versions = [
            subprocess.run([path, "--version"], check=True, stdout=subprocess.PIPE).stdout
            for path in [str(command), oppose.program()]
        ]
        self.assertEqual(versions[0], versions[1])
        self.assertIn(oppose.__version__.encode(), versions[0])

    def test_public_names_are_typed_and_documented(self):
        self.assertTrue(Path(oppose.__file__).with_name("py.typed").is_file())
        for name in oppose.__all__:
            self.assertTrue(getattr(oppose, name).__doc__, name)


if __name__ == "__main__":
    unittest.main()
