"""Runs the examples of docs/python.md one after another, in a folder with the videos that they name."""

import os
import re
import shutil
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY / "assets" / "sample.mp4"


class Documentation(unittest.TestCase):
    def test_examples_run(self):
        page = (REPOSITORY / "docs" / "python.md").read_text()
        examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        self.assertGreater(len(examples), 6)
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            os.mkdir("videos")
            for copy in ["video.mp4", "other.mp4", "videos/video.mp4", "videos/other.mp4"]:
                shutil.copy(SAMPLE, copy)
            Path("broken.mp4").write_bytes(SAMPLE.read_bytes()[:60_000])
            names = {}
            for example in examples:
                line = page[: page.index(example)].count("\n")
                # The empty lines make an error name the line of the page.
                exec(compile("\n" * line + example, "docs/python.md", "exec"), names)
            os.chdir(before)


if __name__ == "__main__":
    unittest.main()
