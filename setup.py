"Everything about the package is said in settings.ini; this hands it to setuptools."

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read(Path(__file__).with_name("settings.ini"), encoding="utf-8")
settings = config["DEFAULT"]
extras = {name: settings[f"{name}_requirements"].split() for name in ("serve", "train", "live", "cluster", "dev")}

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    author=settings["author"],
    keywords=settings["keywords"].split(),
    classifiers=[
        "Intended Audience :: Science/Research",
        "Intended Audience :: Financial and Insurance Industry",
        "Programming Language :: Python :: 3",
        "Typing :: Typed",
    ],
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=["ohlcv_ta", "ohlcv_ta.*"]),
    package_data={"ohlcv_ta": ["py.typed", "sample/*", "data/*.txt", "**/templates/*"]},
    install_requires=settings["requirements"].split(),
    extras_require={**extras, "dev": [one for needed in extras.values() for one in needed]},
    entry_points={"console_scripts": settings["console_scripts"].split()},
    zip_safe=False,
)
