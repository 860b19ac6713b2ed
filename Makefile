# Thin on purpose: each recipe is a line or two that a person could type.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check demo bench torture format clean

run: .venv/ready            ## the daemon: polls, scores, stores
	$(BIN)/tracker run

test: .venv/ready           ## all tests, in random order
	$(BIN)/python -m pytest -n auto -q

check: .venv/ready          ## format, lint, strict types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

demo: .venv/ready           ## the main job without any network, on a small day of invented messages
	$(BIN)/python tests/demo.py

bench: .venv/ready          ## speed, printed with versions and machine; longer than a test run
	$(BIN)/python -m bench.analyse ../shared/real/stocknet
	$(BIN)/python -m bench.mentions ../shared/real/stocknet
	$(BIN)/python -m bench.tone ../shared/eval/tone figures
	$(BIN)/python -m bench.tone ../shared/eval/tone speed
	$(BIN)/python -m bench.replay ../shared/real/stocknet
	$(BIN)/python -m bench.meter
	$(BIN)/python -m bench.worst
	$(BIN)/python -m bench.load --rate 200 --seconds 600
	$(BIN)/python -m bench.load --rate 2000 --seconds 60

torture: .venv/ready        ## the daemon killed again and again, under every fault, and broken on purpose; hours, not part of `make test`
	TRACKER_SEEDS=20 TRACKER_SECONDS=60 $(BIN)/python -m pytest -q -p no:randomly -s -n 2 tests/test_guarantee.py
	$(BIN)/python tests/mutants.py --all
	TRACKER_KILLS=200 $(BIN)/python -m pytest -q -p no:randomly tests/test_daemon_kill.py
	$(BIN)/python -m bench.soak

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("tracker needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[plot,zst,dev]'
	touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
