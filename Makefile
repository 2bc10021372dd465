# The two commands of the README: `make demo` and `make test`. Each sets up a venv of its own. `--use-pep517`: jieba and seqeval are
# published as sources only, and the old way of building them fetches its tools without what those need.
PYTHON ?= python3.11
DEMO_OUT ?= out/demo

.PHONY: demo test lint docs bench clean

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 .
	touch $@

.venv/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 -e '.[train,bench,dev]'
	touch $@

demo: .venv-demo/ready            ## the main job on examples/, base install without torch
	.venv-demo/bin/python examples/demo.py --out $(DEMO_OUT)

test: .venv/ready                 ## all tests
	.venv/bin/python -m pytest

lint: .venv/ready                 ## style and layers
	.venv/bin/ruff check .
	.venv/bin/lint-imports

.venv-docs/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 '.[docs]'
	touch $@

docs: .venv-docs/ready            ## the documentation site in out/site; it loads nothing from elsewhere
	.venv-docs/bin/python -m mkdocs build --strict

clean:
	rm -rf .venv .venv-demo .venv-docs out build dist *.egg-info
