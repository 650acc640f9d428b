# Two commands matter: `make demo` and `make test`. Needed: git, make, python3 >= 3.10; no root, no python3-venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_EXTRAS := edge,worker,manager,quantize,plot
TEST_EXTRAS := $(DEMO_EXTRAS),openvino,mnn,ncnn,postgres,test
ARGS ?=

.PHONY: help demo test check bench bench-craft bench-deadline fuzz schemas setup setup-test setup-tflite clean
.DEFAULT_GOAL := help

help:  ## what there is
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "make %-15s%s\n", $$1, $$2}' Makefile

setup:  ## the virtual environment, without test tools
	@$(PYTHON) headway/setup.py --venv $(VENV) --extras $(DEMO_EXTRAS)

setup-test:  ## the virtual environment with test tools
	@$(PYTHON) headway/setup.py --venv $(VENV) --extras $(TEST_EXTRAS)

# tflite-runtime needs NumPy 1 and ends at Python 3.11, so it lives apart; its tests skip where it cannot be.
setup-tflite:  ## the environment of tflite-runtime, on Python 3.10 and 3.11
	@if $(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; \
	then $(PYTHON) headway/setup.py --venv .venv-tflite --extras tflite; \
	else echo "setup: no tflite-runtime for this Python; its tests will skip"; fi

demo: setup  ## the main job end to end, about a minute; ARGS="--seconds 30" and the like
	@$(BIN)/python -m headway.provision mosquitto models
	@$(BIN)/headway demo $(ARGS)

test: setup-test setup-tflite  ## every test
	@$(BIN)/python -m headway.provision
	@$(BIN)/python -m headway.provision flatc || echo "its tests will skip"
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: setup-test  ## style, types and the floors of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@echo "check: clean"

bench: setup-test  ## what the road costs; results in bench/results
	@$(BIN)/python -m headway.provision mosquitto
	@$(BIN)/python -m bench.offload $(ARGS)

bench-craft: setup-test  ## what the craft can do: every cut, gate, placement, profile, wire, broker, broken files
	@$(BIN)/python -m headway.provision
	@$(BIN)/headway model import text > /dev/null
	@$(BIN)/headway model import faces > /dev/null
	@$(BIN)/python -m bench.craft $(ARGS)

bench-deadline: setup-test  ## every frame in time: faults, policies side by side, calibration, overload, timing
	@$(BIN)/python -m headway.provision
	@$(BIN)/python -m bench.deadline $(ARGS)

fuzz: setup-test  ## mutants of every message against verify, codec and a live worker
	@$(BIN)/python -m headway.provision
	@$(BIN)/python -m bench.fuzz --live $(ARGS)

schemas: setup  ## generate schemas/generated anew (needs flatc 2.0.8)
	@$(BIN)/python -m schemas.generate

clean:  ## everything that was set up or written here; the cache of models stays
	rm -rf $(VENV) .venv-tflite .headway out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
