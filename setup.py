"""Map the root folders to the package `headgate` and build its extensions."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

FOLDERS = ("proxy", "plugins", "ext", "inference", "demo")

setup(
    packages=[f"headgate.{name}" for f in FOLDERS for name in (f, *(f"{f}.{sub}" for sub in find_packages(f)))],
    package_dir={"headgate": "."},
    # The C files go to build/: beside the sources they would be shipped in the wheel.
    ext_modules=cythonize(
        [Extension(f"headgate.ext.{path.stem}", [str(path)]) for path in sorted(Path("ext").glob("*.pyx"))],
        build_dir="build/cython",
        compiler_directives={"language_level": 3},
    ),
    options={"build_ext": {"parallel": len(os.sched_getaffinity(0))}},
)
