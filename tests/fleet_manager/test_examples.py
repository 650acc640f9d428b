"""The deployments in ``examples/`` are ones that the manager takes, and the guide names every field there is."""

from pathlib import Path

import pytest
import yaml

from schemas.deployments import DeploymentSpec, SplitConfig, Weights

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("deadline-*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_deployment(path):
    spec = DeploymentSpec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert spec.split_config is not None
    assert f"headway deploy apply examples/{path.name}" in path.read_text(encoding="utf-8")


def test_the_guide_names_every_field_of_a_split_config():
    guide = (ROOT / "docs" / "deadline.md").read_text(encoding="utf-8")
    names = [*SplitConfig.model_fields, *(f"weights.{name}" for name in Weights.model_fields)]
    assert EXAMPLES
    assert [name for name in names if f"`{name}`" not in guide] == []
