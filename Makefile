# `make help` lists the targets.

PYTHON ?= python3
VENV := .venv/bin
CODE := tasksr_ros training test demo launch scripts benchmarks examples setup.py

SECONDS ?= 3600
SEED ?= 0

# Where it is set, as in many images, every process compiles all it imports: of PyTorch, for seconds.
unexport PYTHONDONTWRITEBYTECODE

# The benchmarks first: one of them states the memory of its process.
ROOMS_OF_ENGINES := test/benchmarks test/bundle test/engines

# On a busy machine those over topics go first: they wait for messages, but not forever.
UNITS := units-over-topics units-of-training units-of-engines units-of-the-rest
SIDE_BY_SIDE := --no-print-directory --output-sync=target -j

.PHONY: help setup test demo yardstick lint types unit $(UNITS) colcon ros2-tools-check soak fuzz tools \
	clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## make .venv with everything to run and train; quick when nothing has changed
	@$(PYTHON) scripts/setup_environment.py

demo: setup ## replay a drive through the real node into out/; yours with BAG=…, VIDEO=…, OUT=…
	@$(VENV)/python demo/demo.py $(if $(BAG),--bag "$(BAG)") $(if $(VIDEO),--video "$(VIDEO)") \
		$(if $(TOPIC),--topic "$(TOPIC)") $(if $(OUT),--out "$(OUT)")

test: lint ## run everything there is to check
	@$(MAKE) $(SIDE_BY_SIDE) 6 $(UNITS) types colcon

lint: tools ## check style, and which file may import what
	$(VENV)/ruff check $(CODE)
	$(VENV)/ruff format --check $(CODE)

types: tools ## check the types of the deployed package
	@nice $(VENV)/python scripts/check_types.py

unit: tools ## run the tests, those over real ROS 2 topics included
	@$(MAKE) $(SIDE_BY_SIDE) 4 $(UNITS)

# On a busy machine DDS may lose a message that is sent once: who waited in vain tries once more, and
# is listed.
units-over-topics:
	$(VENV)/python -m pytest --durations 15 -m "wire and not soak" -raR --reruns 1 \
		--only-rerun "waited [0-9.]+ s for" test

units-of-training: WHERE := training/test
units-of-engines: WHERE := $(ROOMS_OF_ENGINES)
units-of-the-rest: WHERE := test $(ROOMS_OF_ENGINES:%=--ignore=%)
units-of-training units-of-engines units-of-the-rest:
	nice $(VENV)/python -m pytest --durations 15 -m "not soak and not wire" $(WHERE)

colcon: tools ## build the package as colcon does, and test what an installation can break
	$(VENV)/python scripts/colcon_test.py

ros2-tools-check: tools ## drive the installed node with the real ros2 commands, where there are
	$(VENV)/python scripts/ros2_tools_check.py

soak: tools ## the long tests, then SECONDS=… (3600) of overload; figures into docs/RELIABILITY.md
	$(VENV)/python -m pytest -m "soak or (slow and wire)" test
	$(VENV)/python test/nodes/soak.py --seconds $(SECONDS) --record docs/RELIABILITY.md

fuzz: tools ## 100,000 mutated messages through the decoding, 2,000 of each kind over topics: SEED=…
	FUZZ_SEED=$(SEED) $(VENV)/python -m pytest -s -m "soak or slow" \
		test/io/test_fuzz_decoding.py test/io/test_fuzz_calibration.py \
		test/replay/test_fuzz_truth_topic.py test/ros/test_node_fuzz.py

yardstick: tools ## measure bundles beside public detectors: DATA=… WEIGHTS=… BUNDLES="…" OUT=…
	@$(VENV)/python -m benchmarks.yardstick --data "$(DATA)" --weights "$(WEIGHTS)" \
		$(if $(BUNDLES),--bundles $(BUNDLES)) $(if $(OUT),--out "$(OUT)")

tools:
	@$(PYTHON) scripts/setup_environment.py --test

clean: ## remove what was built and the demo's results
	rm -rf build out .mypy_cache .pytest_cache .ruff_cache *.egg-info training/*.egg-info
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf .venv
