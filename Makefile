# Each target makes the environment it needs. `make` alone lists them.
PYTHON ?= python3
PORT ?= 9696
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export GRADIO_ANALYTICS_ENABLED := False
export PYTHONHASHSEED := 0
# Where Python is told to write no bytecode, every process would compile again what it imports.
unexport PYTHONDONTWRITEBYTECODE
READY := .venv/.ready
SAY := printf '\n\033[1m%s\033[0m\n'

.DEFAULT_GOAL := help
.PHONY: help install hooks data book reproduce retrain app check test lint export collect push space bench pin sbom

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

# PyPI's build of PyTorch for Linux does not start without CUDA's libraries, which are not in the lock.
$(READY): requirements.lock settings.ini setup.py
	@$(SAY) "Installing into .venv: some 280 packages, three minutes"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-compile -r requirements.lock
	@$(BIN)/python -c "import torch" 2> /dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
	  --no-compile --force-reinstall --index-url https://download.pytorch.org/whl/cpu "$$(grep ^torch== requirements.lock)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

install: $(READY) ## make the environment in .venv

hooks: $(READY) ## keep notebooks clean in Git (merge driver and pre-commit hook)
	@nbdev_install_hooks
	@git config core.hooksPath .githooks

data: $(READY) ## fetch the data set and the stored results from the folder inside this repository
	@$(SAY) "Fetching data and stored results from .dvc/remote"
	@dvc pull --quiet --allow-missing

book: data ## build the book, computing only what is not stored
	@$(SAY) "Bringing every stage up to date"
	@dvc repro --allow-missing
	@test -e book/_build/html/index.html || ohlcv-ta book # which DVC takes for granted in a fresh clone, as it stores no copy
	@echo "The book: $(CURDIR)/book/_build/html/index.html"

reproduce: data ## compute every stage again, replay the trainings, and compare every metric with the committed one
	@$(SAY) "Computing every metric again from the data: about 40 minutes"
	@ohlcv-ta reproduce

retrain: data ## train every network from the beginning, and go on where an interrupted run was
	@$(SAY) "Training every network again"
	@ohlcv-ta retrain --dry-run
	@ohlcv-ta retrain

app: data ## serve the API and the app at http://localhost:9696, or at another PORT=
	@$(SAY) "Starting at http://localhost:$(PORT): half a minute, the first time longer"
	@LOG_LEVEL=$${LOG_LEVEL:-WARNING} ohlcv-ta serve --port $(PORT)

lint: $(READY) ## notebooks clean, package exported, style
	@$(SAY) "Notebooks clean, package exported, style"
	@ruff check .
	@pytest -q tests/unit/test_conventions.py

check: data ## before each commit: style, export, types, unit tests, notebooks that changed (a minute and a half)
	@$(SAY) "Checking what changed"
	@$(BIN)/python .ci/check.py

# Stages compile for this processor (ohlcv_ta.kernel_environment); what notebooks compile is then there for the small run, too.
ifeq ($(shell uname -m),x86_64)
test: export NUMBA_CPU_NAME := haswell
endif
test: data lint ## everything CI runs: style, notebooks, tests, a small run of the whole pipeline
	@$(SAY) "Running every library notebook"
# A notebook that starts processes of joblib's waits five minutes for them to end; threads that spin slow the other notebook.
	@LOKY_MAX_CPU_COUNT=1 OMP_WAIT_POLICY=passive nbdev_test --n_workers 2 --skip_folder_re '^(pipeline|[_.].*)$$'
	@$(SAY) "Running the tests, with a small run of the whole pipeline"
	@pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore tests/unit/test_conventions.py

export: $(READY) ## carry the notebooks into the package, and what they import and hold into dvc.yaml and the contents
	@nbdev_clean && nbdev_export && ohlcv-ta deps --write

collect: $(READY) ## collect the data set again (needs a network; STOCKS=folder for the panel of stocks)
	@ohlcv-ta run collect -p stocks="$(STOCKS)"
	@dvc add data panel

push: $(READY) ## store the current results in the folder inside this repository, and only them
	@dvc push && dvc gc --workspace --cloud --force

space: data ## assemble the Hugging Face Space in space/
	@ohlcv-ta space

bench: data ## measure speed against peers and write benchmarks/results.json
	@$(BIN)/python benchmarks/run.py

pin: $(READY) ## pin images by digest and actions by commit (needs a network)
	@$(BIN)/python deploy/pin.py

sbom: $(READY) ## list every locked package in sbom.cdx.json (CycloneDX)
	@cyclonedx-py requirements --output-reproducible --mc-type application --output-file sbom.cdx.json requirements.lock
	@echo "$(CURDIR)/sbom.cdx.json"
