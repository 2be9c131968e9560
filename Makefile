# make run     set up what is missing, then start the dashboard
# make setup   the environment, the demo model, a browser for saving images
# make test    everything that has to pass           make check-long   the checks that take longer
# make screenshots   the pictures of the README and the docs, from the real dashboard
# make benchmark     capture beside other libraries, in an environment of its own (ARGS=--quick: the first row)
# make findings      what the demo model shows on every task: docs/findings.md and its figures
# make docs          the documentation as a site in site/; any warning fails
# make figures       the pictures of docs/reading-figures.md, from the demo model (ARGS=NAME: one)
# make lint    style, and who may import whom        make types        types
#
# TORCH_INDEX=URL   where to get torch from instead of the usual index, such as PyTorch's CPU builds
# ARGS="..."        options of the dashboard         PYTHON=python3.12   the Python to make the environment with

PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=
VENV := .venv
BENCH := .venv-benchmark
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
FIND_BROWSER := $(PY) -c "import sys; from choreographer.browsers.chromium import Chromium; \
	sys.exit(not Chromium.find_browser(skip_local=False))"
export TOKENIZERS_PARALLELISM := false

# A stamp is named after the content it was made from, so it is there exactly if nothing changed since.
key = $(word 1,$(shell cat $(1) | cksum))
READY := $(VENV)/.ready-$(call key,requirements.txt pyproject.toml)
READY_DEV := $(VENV)/.ready-dev-$(call key,requirements.txt requirements-dev.txt pyproject.toml)
# While this file exists an installation is under way, or was interrupted and may have left a package half.
BUSY := $(VENV)/.installing

# An environment that was interrupted, or whose Python or folder is not where it was, is made anew.
WHOLE := $(shell test ! -e $(BUSY) && $(PY) -m pip --version 2>/dev/null | grep -cF "$(CURDIR)/$(VENV)/")
ifneq ($(WHOLE),1)
$(shell rm -f $(VENV)/.ready-*)
endif

# The package is this checkout, from whatever folder Python is started, and the command is in the environment. An
# editable install would do the same but copy the pages, and need a build tool from the network.
define LINK_CHECKOUT
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "iclviz.pth").write_text("$(CURDIR)\n")
command = pathlib.Path(sysconfig.get_path("scripts"), "iclviz")
command.write_text(f"#!{sys.executable}\nimport sys\nfrom iclviz.__main__ import main\n\nsys.exit(main())\n")
command.chmod(0o755)
endef
export LINK_CHECKOUT

.PHONY: help setup run test check-long screenshots benchmark acting findings docs figures lint types dev demo browser
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

setup: $(READY)
	@$(PY) -m iclviz.models.demo || echo "Without the demo model other models still work; make setup tries again."

run: setup
	@exec $(PY) -m iclviz dashboard $(ARGS)

$(READY):
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" \
		|| { echo "Python 3.11 or newer is needed; name one with: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c "import venv, ensurepip" 2>/dev/null \
		|| { echo "Python's venv is missing. First run: apt install git make python3-venv"; exit 1; }
ifneq ($(WHOLE),1)
	@echo "Making the environment $(VENV)" && $(PYTHON) -m venv --clear $(VENV)
endif
	@touch $(BUSY)
ifneq ($(TORCH_INDEX),)
	@$(PIP) install --index-url $(TORCH_INDEX) "$$(grep '^torch==' requirements.txt)"
else
	@test "$$(uname)" != Linux -o -e /proc/driver/nvidia -o -e /dev/nvidia0 -o -e /dev/dxg || echo "No NVIDIA driver" \
		"found, and torch's usual build is large: TORCH_INDEX=https://download.pytorch.org/whl/cpu gets a small one."
endif
	@echo "Installing the requirements: some minutes, once"
	@$(PIP) install -r requirements.txt \
		|| { echo "The requirements are not installed. Connect to the network and run it again."; exit 1; }
	@$(PY) -c "$$LINK_CHECKOUT"
	@$(MAKE) --no-print-directory browser
	@rm -f $(VENV)/.ready-* $(BUSY)
	@touch $@

# For saving figures as images: a browser that is there, else Debian's, else the one that Plotly's kaleido fetches.
browser:
	@$(FIND_BROWSER) && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing chromium for saving images"; apt-get update -qq && apt-get install -y -qq chromium >/dev/null; fi; \
	$(FIND_BROWSER) && exit; \
	echo "Fetching a Chromium for saving images"; $(VENV)/bin/choreo_get_chrome >/dev/null 2>&1; \
	$(FIND_BROWSER) || echo "No Chromium was found or fetched: saving PNG, SVG and PDF needs one (apt install chromium)."

demo: $(READY)
	@$(PY) -m iclviz.models.demo

dev: setup $(READY_DEV)

$(READY_DEV): | $(READY)
	@echo "Installing what only tests need"
	@touch $(BUSY)
	@$(PIP) install -q -r requirements-dev.txt
	@rm -f $(VENV)/.ready-dev-* $(BUSY)
	@touch $@

lint: dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports

types: dev
	$(PY) -m mypy

# One thread each, for two cores: whichever process takes a test in the browser takes all of them, and mostly waits.
test: dev demo lint types
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 3 --dist loadgroup --durations 15

screenshots: dev demo
	$(PY) -m tests.browser.screenshots docs/images

benchmark: demo
	@$(PYTHON) -m venv $(BENCH) && $(BENCH)/bin/python -m pip install -q -r benchmarks/requirements.txt
	PYTHONPATH=. $(BENCH)/bin/python -W ignore benchmarks/logit_lens.py
	PYTHONPATH=. $(BENCH)/bin/python -W ignore benchmarks/capture.py $(ARGS)

acting: demo
	@$(PYTHON) -m venv $(BENCH) && $(BENCH)/bin/python -m pip install -q -r benchmarks/requirements.txt
	PYTHONPATH=. $(BENCH)/bin/python -W ignore benchmarks/acting.py $(ARGS)

findings: demo
	$(PY) -W ignore -m benchmarks.findings
	$(PY) -W ignore -m benchmarks.acting_findings

# Not --quiet: it would hide warnings from --strict too.
docs: dev
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

figures: dev demo
	$(PY) -W ignore -m docs.building.figures $(ARGS)

check-long: dev demo
	OMP_NUM_THREADS=1 $(PY) -m pytest -m long
	OMP_NUM_THREADS=1 $(PY) -W ignore -m benchmarks.validity --write docs/validity.md
