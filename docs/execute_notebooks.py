"""Execute notebooks in place: ``make notebooks``. Progress bars and warnings of other packages are not kept, nor times.

python docs/execute_notebooks.py tutorials/drugs.ipynb …
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def execute(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        start = time.perf_counter()
        execute(Path(name))
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
