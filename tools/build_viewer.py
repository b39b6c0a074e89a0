"""Build the one file of NiiVue that a report carries, from the pinned packages of tools/viewer: needs node and npm.

It writes src/infarct/writers/assets/: niivue.min.js, its SHA-256 and the licences of all that is in it. The same
packages give the same bytes. Packages are fetched into a temporary folder; nothing else is left in the tree.
"""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

TOOLS = Path(__file__).parent / "viewer"
ASSETS = Path(__file__).parents[1] / "src" / "infarct" / "writers" / "assets"
BUNDLED = ("array-equal", "fflate", "gl-matrix", "nifti-reader-js", "@lukeed/uuid")
"""Packages that end up in the file beside NiiVue itself."""


def main() -> None:
    """Fetch, build, and write the file, its hash and its licences."""
    with tempfile.TemporaryDirectory() as working:
        folder = Path(working)
        for path in TOOLS.iterdir():
            shutil.copy(path, folder / path.name)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
        ASSETS.mkdir(exist_ok=True)
        bundle = ASSETS / "niivue.min.js"
        subprocess.run(["node", "build.mjs", bundle], cwd=folder, check=True)
        digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
        (ASSETS / "niivue.min.js.sha256").write_text(f"{digest}  {bundle.name}\n", encoding="utf-8")
        (ASSETS / "niivue.LICENSE.txt").write_text(licences(folder / "node_modules"), encoding="utf-8")
    print(f"{bundle}: {bundle.stat().st_size} bytes, {digest}")


def licences(packages: Path) -> str:
    """Return the licences of NiiVue and of the packages that are built into its file."""
    parts = [("NiiVue", (TOOLS / "LICENSE.niivue.txt").read_text(encoding="utf-8"))]
    for name in BUNDLED:
        (path,) = (one for one in (packages / name).iterdir() if one.name.lower().startswith("license"))
        parts.append((name, path.read_text(encoding="utf-8")))
    rule = "-" * 78
    return f"\n{rule}\n".join(f"{name}\n\n{text.strip()}\n" for name, text in parts)


if __name__ == "__main__":
    main()
