"""What the scripts of this folder share: packages from their registries, and documents as lines of JSON."""

import glob
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def fetch(folder: Path, *command: str) -> None:
    """Runs a package client that puts a package into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def from_npm(cache: Path, name: str, version: str) -> Path:
    """The unpacked package."""
    target = cache / f"{name}-{version}"
    if not target.exists():
        fetch(cache, "npm", "pack", "--silent", f"{name}@{version}")
        [archive] = glob.glob(str(cache / f"*{name.split('/')[-1]}-{version}.tgz"))
        tarfile.open(archive).extractall(target, filter="data")
    return target / "package"


def from_pypi(cache: Path, name: str, version: str) -> Path:
    """The unpacked wheel."""
    target = cache / f"{name}-{version}"
    if not target.exists():
        wheels = cache / f"{name}-wheel"
        fetch(wheels, sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", f"{name}=={version}")
        [wheel] = glob.glob(str(wheels / "*.whl"))
        zipfile.ZipFile(wheel).extractall(target)
    return target


def from_debian(cache: Path, name: str, version: str) -> Path:
    """The unpacked package."""
    target = cache / f"{name}-{version}"
    if not target.exists():
        fetch(cache, "apt-get", "download", f"{name}={version}")
        [archive] = glob.glob(str(cache / f"{name}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, str(target)], check=True)
    return target


def write(documents: list[dict]) -> None:
    """One JSON object a line, to standard output."""
    for document in documents:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
