from pathlib import Path
def cache_dir(environ):
    return Path(environ.get("HEADWAY_CACHE") or Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway")
