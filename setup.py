"""The packages of the wheel; all else stands in setup.cfg and pyproject.toml."""

from setuptools import find_namespace_packages, setup

CACHES = ["*__pycache__*"]
BROUGHT = {"detkit.recipes.configs": "configs"} | {
    f"detkit.recipes.projects.{name}": f"projects/{name.replace('.', '/')}"
    for name in find_namespace_packages("projects", exclude=CACHES)
}
"""The folders that the wheel holds below detkit/recipes."""

setup(
    packages=[*find_namespace_packages(include=["detkit", "detkit.*"], exclude=CACHES), *BROUGHT],
    package_dir={"detkit": "detkit", **BROUGHT},
    package_data={"": ["*.yaml", "*.md", "*.jinja", "*.css"], "detkit": ["py.typed"]},
)
