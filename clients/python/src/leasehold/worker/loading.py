"""Finds an app by its name, such as `shop.jobs:app`."""

from __future__ import annotations

import importlib
import os
import sys

from ..app import App
from ..errors import ConfigError


def load(target: str) -> App:
    """Imports the module and takes the app. The folder of the process is searched first, as for `python -m`."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise ConfigError(f"name the app as module:app, not {target}")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ConfigError(f"there is no module {error.name}") from error
        raise
    app = getattr(module, name, None)
    if not isinstance(app, App):
        raise ConfigError(f"{module_name} has no leasehold.App with the name {name}")
    if not app.jobs:
        raise ConfigError(f"the app {target} has no jobs")
    return app
