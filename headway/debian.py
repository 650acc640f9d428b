def find_mosquitto(cache):
    import shutil; from pathlib import Path
    f = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    return Path(f) if f else None
