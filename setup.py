"""All metadata of the distribution."""

import re
import runpy
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
REPOSITORY = "https://github.com/keras-lrscan/keras_lrscan"
SITE = "https://keras-lrscan.readthedocs.io"
KERAS = "keras>=3.6"
# TensorFlow's small CPU-only build is used where it exists for sure; elsewhere the ordinary one is already CPU-only.
TENSORFLOW_CPU = [
    'tensorflow-cpu>=2.18; sys_platform == "linux" and platform_machine == "x86_64"',
    'tensorflow>=2.18; sys_platform != "linux" or platform_machine != "x86_64"',
]
# textstat from 0.7.9 on downloads a dictionary at run time.
TEST = ["hypothesis>=6.120", "pytest>=8.2", "textstat==0.7.8"]

PICTURES = ["onnxruntime>=1.17", "pillow>=10", "rapidocr>=3.10"]


def long_description(version: str) -> str:
    """Returns the README with links and images that also work on an index, where no files lie beside it."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\g<1>{REPOSITORY}/raw/v{version}/", text)
    return re.sub(r"(?<!!)(\[[^]]*\]\()(?!https?:|#)", rf"\g<1>{REPOSITORY}/blob/v{version}/", text)


VERSION: str = runpy.run_path(str(HERE / "keras_lrscan" / "_version.py"))["__version__"]

setup(
    name="keras_lrscan",
    version=VERSION,
    description="Learning-rate range tests for Keras that explain the curve they record",
    long_description=long_description(VERSION),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The keras_lrscan maintainers",
    author_email="keras-lrscan@users.noreply.github.com",
    url=REPOSITORY,
    project_urls={
        "Documentation": SITE,
        "Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
        "Source": REPOSITORY,
    },
    keywords=["keras", "tensorflow", "jax", "learning rate", "lr finder", "range test", "ktrain"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["keras_lrscan", "keras_lrscan.*"]),
    package_data={
        "keras_lrscan": ["py.typed"],
        "keras_lrscan.app": ["templates/*"],
        "keras_lrscan.report": ["templates/*"],
    },
    install_requires=["jinja2>=3.1", "matplotlib>=3.8", "msgspec>=0.19", "numpy>=1.26", "scipy>=1.11"],
    extras_require={
        "tensorflow": ["tensorflow>=2.18", KERAS],
        "cpu": [*TENSORFLOW_CPU, KERAS],
        "demo": ["scikit-learn>=1.4"],
        "tune": ["keras-tuner>=1.4.7", "optuna>=4", "tensorboard>=2.18"],
        # the models lie within `rapidocr`, so nothing is downloaded at run time
        "pictures": PICTURES,
        "app": [*PICTURES, "python-multipart>=0.0.9", "starlette>=0.40", "uvicorn>=0.30"],
        "docs": ["furo>=2024.8", "myst-parser>=4", "sphinx>=8", "sphinx-design>=0.6"],
        # ktrain also needs tf_keras, which asks for the larger distribution of TensorFlow: install it by itself, with
        # `pip install --no-deps tf_keras`, and set TF_USE_LEGACY_KERAS=1 before TensorFlow is imported.
        "ktrain": [*TENSORFLOW_CPU, KERAS, "ktrain>=0.41.4", "transformers<5"],
        "test": [*TEST, "scikit-learn>=1.4"],
        "dev": [*TEST, "scikit-learn>=1.4", "mypy>=1.13", "ruff>=0.12", "tox>=4.20"],
    },
    entry_points={"console_scripts": ["lrscan = keras_lrscan.cli:main"]},
)
