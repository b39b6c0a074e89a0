"""OpenVINO without its telemetry: no socket, no file in the home folder."""

import importlib
import sys
from types import ModuleType
from typing import Any, Final

TELEMETRY: Final = "openvino_telemetry"


def load_openvino() -> Any:
    """Return the module `openvino`, imported so that it reports nothing to anybody.

    Its converter takes a stub that does nothing where the telemetry package is missing; so it is made to look missing.
    """
    modules: dict[str, Any] = sys.modules
    if modules.get(TELEMETRY) is None:
        modules[TELEMETRY] = None  # the documented way to make an import fail
    else:
        _replace_telemetry()
    return importlib.import_module("openvino")


def _replace_telemetry() -> None:
    """Give modules of OpenVINO's converter that somebody imported before, with telemetry, the stub instead."""
    stub = importlib.import_module("openvino.tools.ovc.telemetry_stub")
    for name, module in list(sys.modules.items()):
        if name.startswith("openvino.") and isinstance(getattr(module, "tm", None), ModuleType):
            vars(module)["tm"] = stub
