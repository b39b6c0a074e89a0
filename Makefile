# Set-up, checks and tests. Needs Python >= 3.11 and make; everything else comes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := build/demo
DATA ?=

.PHONY: demo test test-all test-real check docs bench bench-phantom bench-segment bench-volumetry \
	train-segment train-aspects train-localize train-denoise train-volumetry train-hemorrhage format schema clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev,bench,train,docs]"
	touch $(STAMP)

## Install, read a phantom patient, print where the report is.
demo: $(STAMP)
	rm -rf $(DEMO)
	$(BIN)/infarct demo --output $(DEMO)

## The fast tests (minutes).
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --max-worker-restart 0

## All tests that need no real scans.
test-all: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --max-worker-restart 0 -m "not real"

## Tests on real scans that need no browser: make test-real DATA=folder
test-real: $(STAMP)
	@test -d "$(DATA)" || { echo "usage: make test-real DATA=folder-with-real-scans"; exit 2; }
	INFARCT_REAL_DATA="$(abspath $(DATA))" $(BIN)/python -m pytest -m "real and not slow"

## Format, lint, types, import floors, schema.
check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/infarct schema | cmp - docs/findings.schema.json

## The documentation as a site in build/site: strict, and loading nothing from elsewhere.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/python tools/check_site.py build/site

## Side-by-side measurements; each prints a ratio.
bench: $(STAMP)
	for script in bench/bench_*.py; do $(BIN)/python $$script || exit 1; done

## How like real scans the phantoms are: make bench-phantom [DATA=folder-with-real-scans]
bench-phantom: $(STAMP)
	$(BIN)/python bench/phantom_realism.py $(if $(DATA),--data "$(DATA)")

## The segmentation against plain torch and, with NNUNET=python-with-nnunetv2, against nnU-Net: time and memory.
bench-segment: $(STAMP)
	$(BIN)/python bench/bench_segment.py $(if $(NNUNET),--nnunet "$(NNUNET)")

## The follow-up volume: dense against patch by patch, and a whole scan, time and memory.
bench-volumetry: $(STAMP)
	$(BIN)/python bench/bench_volumetry.py

## Train the segmentation from nothing: phantoms (43 minutes), then about an hour on two cores.
train-segment: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/infarct train segment --cohort phantom --preset cpu --jobs 2 --output build/train-segment \
		--accelerator cpu --devices 2 --strategy ddp

## Train ASPECTS from nothing: phantoms (an hour on two cores), then DA-Net, the forests of radiomics and VB-Net.
train-aspects: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/infarct train aspects --cohort phantom --preset cpu --jobs 2 --cases build/region-cases \
		--output build/train-aspects --accelerator cpu --devices 1
	OMP_NUM_THREADS=1 $(BIN)/infarct train radiomics --cases build/region-cases --jobs 2 --output build/train-radiomics
	OMP_NUM_THREADS=1 $(BIN)/infarct train regions --cases build/region-cases --preset cpu --output build/train-regions \
		--accelerator cpu --devices 1

## Train localize from nothing: phantoms (80 minutes on one core), then the network on tiles (30 minutes).
train-localize: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/infarct train localize --cohort phantom --preset cpu --jobs 2 --output build/train-localize \
		--accelerator cpu --devices 1

## Train the denoiser from nothing: phantoms (14 minutes on one core), then DnCNN (25 minutes).
train-denoise: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/infarct train denoise --cohort phantom --preset cpu --jobs 2 --output build/train-denoise \
		--accelerator cpu --devices 1

## Train volumetry from nothing: phantoms (100 minutes on one core), then the three networks (25 minutes).
train-volumetry: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/infarct train volumetry --cohort phantom --preset cpu --jobs 2 --cases build/patch-cases \
		--output build/train-volumetry --accelerator cpu --devices 1

## Train the network for blood from nothing, on the same phantoms (12 minutes after them).
train-hemorrhage: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/infarct train hemorrhage --cohort phantom --preset cpu --jobs 2 --cases build/patch-cases \
		--output build/train-hemorrhage --accelerator cpu --devices 1

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(STAMP)
	$(BIN)/infarct schema > docs/findings.schema.json
	$(BIN)/python tools/describe_findings.py

clean:
	rm -rf $(VENV) build dist
