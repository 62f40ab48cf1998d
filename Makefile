# The whole path from a fresh clone. A machine needs Python 3.11, pip, make and a C compiler; docs/install.md has the rest.
#
#   make demo    make the environment and a corpus, train and test DDSP, test the anchors, transfer a recording, compare
#   make test    run the tests
#   make leaderboard   train and test every experiment that is not trained yet (SEEDS=3, JOBS=2, SCALE=demo)
#   make check   lint, and check format and types
#   make mini    one miniature run (fit and test) of every experiment config
#   make lock    resolve the versions of requirements.lock again from the ranges of pyproject.toml

SHELL := /bin/bash
BASE_PYTHON := $(shell command -v python3.11 || command -v python3)
VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
ENVIRONMENT := $(VENV)/.installed-from-lock

# One thread for each library that starts its own: two threads on a shared core are slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: env demo leaderboard test check mini lock clean
.DEFAULT_GOAL := env

env: $(ENVIRONMENT)

# uv links packages from its cache, so the second environment takes seconds. --no-deps: the lock is the
# complete, resolved set, and basic-pitch is in it for its model file only (see the lock target). Bytecode is compiled
# here, because commands would compile 4,000 files again and again where PYTHONDONTWRITEBYTECODE is set.
$(ENVIRONMENT): requirements.lock
	@echo "Installing the pinned environment into $(VENV) (the first time downloads about 4 GB)"
	@$(PYTHON) -c "" 2>/dev/null || { rm -rf $(VENV) && $(BASE_PYTHON) -m venv $(VENV); }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@$(UV) pip install --python $(PYTHON) --compile-bytecode --no-deps -r requirements.lock
	@touch $@

test: env
	$(PYTHON) -m pytest -n 2 --dist loadfile

check: env
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

mini: env
	$(PYTHON) -m tests.experiments.miniature

# The input is a real recording of a C major scale. It comes with music21, so every installation has it.
demo: env
	@echo; echo "1/5  Corpus: rendering scores on eight instruments"
	$(PYTHON) -m datamodules.prepare rendered --size demo
	@echo; echo "2/5  DDSP: training and testing a model that plays any melody on the violin (about ten minutes)"
	$(PYTHON) -m experiments.run fit --config ddsp --scale demo
	@echo; echo "3/5  Anchors: testing trivial transfers in the same test"
	$(PYTHON) -m experiments.run anchors --config ddsp --scale demo
	@echo; echo "4/5  Transfer: playing a real recording on the violin"
	@mkdir -p demo
	@cp "$$($(PYTHON) -c "import importlib.util as u; \
		print(u.find_spec('music21').submodule_search_locations[0])")/audioSearch/test_audio.wav" demo/recording.wav
	$(PYTHON) -m experiments.transfer --checkpoint ddsp --input demo/recording.wav --output demo/violin.wav --picture
	@echo; echo "5/5  Leaderboard: comparing DDSP with the anchors"
	$(PYTHON) -m experiments.compare --format html --output demo/leaderboard.html
	$(PYTHON) -m experiments.compare
	@echo
	@echo "Listen:      demo/recording.wav (the source) and demo/violin.wav (the same notes on the violin)"
	@echo "Look:        demo/violin.png (spectrograms) and demo/leaderboard.html (every system, with players)"
	@echo "Dashboard:   $(VENV)/bin/mlflow ui --backend-store-uri sqlite:///mlflow.db   then http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
	@echo "Your turn:   $(PYTHON) -m experiments.transfer --checkpoint ddsp --input YOURS.wav --output violin.wav"

# The same command, given again, does what is left. MLFLOW_TRACKING_URI and RUNS_DIR say where runs are.
SEEDS ?= 1
JOBS ?= 2
SCALE ?= demo
RUNS_DIR ?= runs
leaderboard: env
	$(PYTHON) -m experiments.campaign --scale $(SCALE) --seeds $(SEEDS) --jobs $(JOBS) --runs_dir $(RUNS_DIR)

lock: env
	$(UV) pip compile pyproject.toml --extra dev --python-version 3.11 --no-annotate --no-header \
		--no-emit-index-url --quiet --output-file requirements.lock
	echo "basic-pitch==0.4.0  # for the multi-pitch model in its wheel; its own dependencies are not wanted" \
		>> requirements.lock

clean:
	rm -rf build demo .pytest_cache .mypy_cache .ruff_cache
