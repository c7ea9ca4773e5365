# Every target works from any state: it makes its own environment in .venv first.
PYTHON ?= python3
BIN := .venv/bin
# Idle threads that spin steal the processor from those that work.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help install demo test check bench soak clean

help:
	@echo "make demo     compare the methods on real data: a table and runs/digits/report.html"
	@echo "make test     the tests"
	@echo "make check    lint, format, types"
	@echo "make bench    what things cost, as ratios"
	@echo "make soak     the tests that take long"
	@echo "make install  the environment alone"

# A virtual environment whose interpreter has gone is made anew.
.venv/.bench .venv/.all: pyproject.toml constraints.txt
	@$(BIN)/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@echo "installing learn2mix[$(subst .venv/.,,$@)] into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$(subst .venv/.,,$@)]"
	@touch $@

install: .venv/.all

demo: .venv/.bench
	$(BIN)/learn2mix compare digits

test: .venv/.all
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: .venv/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.all
	$(BIN)/python benchmarks/run.py
	$(BIN)/python docs/build.py

soak: .venv/.all
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/kills.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
