from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module toy.py: a plan, its values, and a way to write them."""
    specification = importlib.util.spec_from_file_location("store_toy", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["store_toy"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def filled(toy: ModuleType, tmp_path: Path) -> Path:
    """A store with every unit finished by run `first`."""
    from hpc import store

    place = tmp_path / "toy.zarr"
    store.prepare(place, toy.plan(), run_id="first")
    toy.write(place, "first")
    return place
