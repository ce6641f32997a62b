#!/usr/bin/env python3
"""Prints a software bill of materials of a portable program in the CycloneDX format.

    scripts/sbom.py [--without-x264] [--with-models] [--python]

`--python` is for the Python package, which contains the module too.
The crates are those that cargo resolves, with the checksums of Cargo.lock; FFmpeg and its libraries are those of
scripts/ffmpeg-sources.sha256; models and LiteRT those of scripts/models*.sha256.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

SCRIPTS = Path(__file__).resolve().parent
LICENCES = {
    "bzip2": "bzip2-1.0.6",
    "dav1d": "BSD-2-Clause",
    "ffmpeg": "LGPL-2.1-or-later",
    "libvpx": "BSD-3-Clause",
    "opus": "BSD-3-Clause",
    "x264": "GPL-2.0-or-later",
    "zlib": "Zlib",
}


def component(kind, name, version, licence, purl=None, sha256=None):
    entry = {"type": kind, "bom-ref": purl or name, "name": name}
    if version:
        entry["version"] = version
    if sha256:
        entry["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    if licence:
        entry["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    if purl:
        entry["purl"] = purl
    return entry


def crates(name):
    """The crates that become part of a program or library, and their dependencies."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    metadata = json.loads(subprocess.run(command, cwd=SCRIPTS.parent, check=True, stdout=subprocess.PIPE).stdout)
    lock = (SCRIPTS.parent / "Cargo.lock").read_text()
    entries = re.findall(r'name = "(.+)"\nversion = "(.+)"\nsource = ".*"\nchecksum = "(.+)"', lock)
    checksums = {(name, version): checksum for name, version, checksum in entries}
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}

    def needed(node):
        # Build and test dependencies do not become part of the program.
        return [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]

    root = next(id for id, package in packages.items() if package["name"] == name)
    found, left = {}, [root]
    while left:
        package = left.pop()
        if package not in found:
            found[package] = needed(nodes[package])
            left.extend(found[package])

    def purl(id):
        return f"pkg:cargo/{packages[id]['name']}@{packages[id]['version']}"

    components = {
        id: component(
            "application" if id == root else "library",
            packages[id]["name"],
            packages[id]["version"],
            packages[id]["license"],
            purl(id),
            checksums.get((packages[id]["name"], packages[id]["version"])),
        )
        for id in found
    }
    dependencies = [{"ref": purl(id), "dependsOn": sorted(map(purl, deps))} for id, deps in found.items()]
    return components.pop(root), list(components.values()), dependencies


def sums(name):
    for line in (SCRIPTS / name).read_text().splitlines():
        yield line.split()


def main():
    with_x264, with_models = "--without-x264" not in sys.argv, "--with-models" in sys.argv
    root, components, dependencies = crates("oppose-python" if "--python" in sys.argv else "oppose")
    for sha256, file in sums("ffmpeg-sources.sha256"):
        name, version = re.fullmatch(r"([a-z0-9]+)_(.+)\.orig\.tar\..*", file).groups()
        if name == "x264" and not with_x264:
            continue
        purl = f"pkg:generic/{name}@{quote(version)}?checksum=sha256:{sha256}"
        components.append(component("library", name, version, LICENCES[name], purl, sha256))
    if with_models:
        for sha256, file in [*sums("models.sha256"), *sums("models-npm.sha256")]:
            kind = "library" if file.endswith(".so") else "machine-learning-model"
            components.append(component(kind, file, None, "Apache-2.0", None, sha256))
    components.sort(key=lambda entry: entry["bom-ref"])
    dependencies.sort(key=lambda entry: entry["ref"])
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": dependencies,
    }
    json.dump(bill, sys.stdout, indent=2)
    print()


main()
