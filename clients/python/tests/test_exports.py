"""The package exports exactly its public names."""

import inspect
import subprocess
import sys
from importlib import metadata

import furniture_events
from furniture_events import AsyncProducer, Producer, errors, testing, tokens

METHODS = {
    "furniture_created",
    "furniture_deleted",
    "furniture_updated",
    "history",
    "ping",
    "position",
    "publish",
    "publish_many",
    "revoke",
}


def test_all_names_the_producers_the_result_and_every_error() -> None:
    """The package exports both producers, the result, the version and the whole error tree."""
    tree = {name for name, value in vars(errors).items() if _defined_there(value)}
    assert set(furniture_events.__all__) == tree | {
        "AsyncProducer",
        "Detail",
        "HistoryPage",
        "Producer",
        "Published",
        "Revoked",
        "__version__",
    }


def test_every_exported_name_exists() -> None:
    """Each name in each ``__all__`` can be imported."""
    for module in (furniture_events, testing, tokens):
        assert all(hasattr(module, name) for name in module.__all__)
        assert list(module.__all__) == sorted(module.__all__, key=_ruff_order)


def _defined_there(value: object) -> bool:
    return inspect.isclass(value) and value.__module__ == errors.__name__


def _ruff_order(name: str) -> tuple[int, str]:
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_both_producers_have_the_same_methods_and_parameters() -> None:
    """The methods and the constructors of both producers have the same parameters."""
    assert _public(Producer) - {"close"} == METHODS
    assert _public(AsyncProducer) - {"aclose"} == METHODS
    for name in METHODS | {"__init__"}:
        one, other = (
            inspect.signature(getattr(producer, name)) for producer in (Producer, AsyncProducer)
        )
        assert one == other


def test_in_memory_producers_are_producers() -> None:
    """They are subclasses, so that they fit the same annotations."""
    assert issubclass(testing.InMemoryProducer, Producer)
    assert issubclass(testing.AsyncInMemoryProducer, AsyncProducer)
    assert testing.__all__ == [
        "AsyncInMemoryProducer",
        "InMemoryProducer",
        "RecordedEvent",
        "RecordedRevocation",
    ]


def test_version_is_the_distributions() -> None:
    """The version in the code is the installed version."""
    assert furniture_events.__version__ == metadata.version("furniture-events")


def test_core_imports_neither_clock_nor_library() -> None:
    """The core and its imports need no HTTP library, no clock and no event loop."""
    code = (
        "import sys, types, pathlib, importlib.util\n"
        "spec = importlib.util.find_spec('furniture_events')\n"
        "package = types.ModuleType('furniture_events')\n"
        "package.__path__ = spec.submodule_search_locations\n"
        "sys.modules['furniture_events'] = package\n"
        "before = set(sys.modules)\n"
        "import furniture_events._core\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    loaded = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "furniture_events._core" in loaded
    assert not {"httpx2", "asyncio", "ssl", "logging", "furniture_events._http"} & set(loaded)
    for name in (item for item in loaded if item.startswith("furniture_events.")):
        module = sys.modules[name]
        assert not {"time", "random", "os"} & set(vars(module)), name


def _public(producer: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(producer, callable) if not name.startswith("_")}
