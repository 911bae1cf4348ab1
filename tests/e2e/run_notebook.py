"""Runs one notebook in the current folder, in a kernel of this Python, and writes what it shows: NOTEBOOK RESULT."""

import sys

import nbclient
import nbformat

source, result = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
client = nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": "."}})
try:
    client.execute()
finally:
    nbformat.write(notebook, result)
