# SPDX-License-Identifier: Apache-2.0
# Commands for people and for continuous integration. A machine needs Python 3.11 or later, make and a C++ compiler;
# everything else, cmake and ninja included, comes through pip into $(VENV).

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
NATIVE := $(wildcard CMakeLists.txt) $(shell find src/jali/kernels/native -type f 2>/dev/null)
# An editable install lists the modules: it is renewed when one comes or goes, which changes its folder.
FOLDERS := $(shell find src/jali -type d -not -name __pycache__)

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test quick check format bench times docs wheel exact corpus sanitize trace clean

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(STAMPS)/jali ## A bank and a credit bureau train a model on data that neither shows the other
	$(BIN)/jali demo $(ARGS)

test: check ## All checks and all tests
	$(BIN)/pytest $(ARGS)

quick: $(STAMPS)/dev ## The tests that take no more than a few seconds each
	$(BIN)/pytest -m "not slow" $(ARGS)

check: $(STAMPS)/dev ## Lint, format, types, layers, dependencies, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry src
	$(BIN)/codespell --quiet-level 3 .

format: $(STAMPS)/dev ## Format the code and fix what can be fixed without thought
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMPS)/dev ## Times, bytes and rounds, beside the limits of this machine
	$(BIN)/jali bench $(ARGS)

times: $(STAMPS)/dev ## Predicted beside actual seconds, on loopback and over emulated networks (as root)
	$(BIN)/python bench/network_times.py $(or $(ARGS),loopback lan wan)

docs: $(STAMPS)/dev ## The documentation, in site/; a broken link is an error
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet --fresh-env docs site
	@echo "open site/index.html"

wheel: $(STAMPS)/venv ## A wheel in dist/, tried without any extra in an environment of its own
	@rm -rf dist
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m venv --clear build/trial
	build/trial/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	build/trial/bin/python -P tests/wheel/trial.py

exact: $(STAMPS)/dev ## Every protocol of jali.psi against Python's sets, up to a million ids (ARGS="--most 10000")
	$(BIN)/python bench/exactness.py $(ARGS)

corpus: $(STAMPS)/dev ## The corpus of jax programs in clear, with this Python's newest jax (PYTHON=, VENV=)
	$(BIN)/python -m tests.mpc.corpus

sanitize: $(STAMPS)/native ## The C++ kernels under the address and undefined-behaviour sanitizers
	$(BIN)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) -DJALI_SANITIZE=ON
	$(BIN)/cmake --build build/sanitize
	$(BIN)/ctest --test-dir build/sanitize --output-on-failure --no-tests=error

trace: $(STAMPS)/native ## Whether a branch or an address in the kernels depends on a secret (needs valgrind)
	$(BIN)/cmake -S . -B build/trace -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) -DJALI_TRACE=ON
	$(BIN)/cmake --build build/trace
	valgrind --quiet --error-exitcode=1 build/trace/jali_kernels_trace $(ARGS)

clean: ## Remove what was built (the virtual environment stays)
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f report.html src/jali/kernels/*.so $(STAMPS)/jali $(STAMPS)/dev
	find src tests examples bench docs -name __pycache__ -type d -exec rm -rf {} +

# -- set-up: stamps make the second time quick ------------------------------------------------------------------------

$(STAMPS)/venv:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "jali needs Python 3.11 or later; found $(or $(PYTHON),none). Say which: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@command -v $${CXX:-c++} >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { \
		echo "jali needs a C++ compiler, found none. On Debian: apt install g++" >&2; exit 1; }
	@echo "making a virtual environment in $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment. On Debian: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@mkdir -p $(@D) && touch $@

$(STAMPS)/jali: $(STAMPS)/venv pyproject.toml $(NATIVE) $(FOLDERS)
	@echo "building jali and installing what it needs (a minute or two, the first time)"
	@$(BIN)/pip install --quiet --editable ".[all]"
	@touch $@

$(STAMPS)/dev: $(STAMPS)/jali
	@echo "installing what the checks, the tests and the documentation need"
	@$(BIN)/pip install --quiet --group dev --group docs
	@touch $@

$(STAMPS)/native: $(STAMPS)/venv
	@$(BIN)/pip install --quiet cmake ninja
	@touch $@
