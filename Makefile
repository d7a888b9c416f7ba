# gounet: `make help` lists the targets.

GO      ?= go
TOOLS   := $(CURDIR)/.tools
PEERS   := $(TOOLS)/peers

LINT_VERSION := v2.15.0
LINTER       := $(TOOLS)/golangci-lint-$(LINT_VERSION)

# go test -exec for js/wasm, in a headless Chromium.
BROWSEREXEC := $(TOOLS)/browserexec

# What gorgonia.org/cu needs to build without a CUDA toolkit: our declarations, and a
# libcuda that opens the driver when it is asked to. Elsewhere than on Linux the binary
# is without CUDA; without a compiler of C and C++ also without native WebGPU. All that is
# built for this machine has the same flags, or its C is compiled twice.
STUB := $(TOOLS)/cuda/libcuda.a
ifeq ($(and $(shell command -v $(CC)),$(shell command -v $(CXX))),)
export CGO_ENABLED := 0
else
ifneq ($(filter Linux-x86_64 Linux-aarch64,$(shell uname -s)-$(shell uname -m)),)
CUDA     := $(STUB)
CUDATAG  := -tags cuda
WITHCUDA := CGO_CFLAGS="-O2 -g -I$(CURDIR)/backend_cuda/driver" CGO_LDFLAGS="-O2 -g -L$(TOOLS)/cuda"
endif
endif

# NVIDIA's compiler of kernels, which needs no GPU.
NVRTC         := $(TOOLS)/nvrtc
NVRTC_VERSION := 13.0.88

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# NiiVue and axe-core, by npm.
NPM := $(TOOLS)/npm

# What a browser and an ARM machine must be able to build.
PORTABLE := ./core/... ./backend_cpu/... ./backend_webgpu/... ./shaders/... ./internal/... ./wasm/... ./web/...

# Results of `make generate`, by their names.
GENERATED = find . -path ./.tools -prune -o \( -name '*_gen.go' -o -name '*.s' \) -type f -print0 | sort -z | xargs -0 -r sha256sum

FUZZTIME ?= 1m
DEMO     ?= demo

.PHONY: help build test native test-long gpu test-gpu nvrtc system js worker browser dawn web web-test vet lint fmt generate generated-unchanged portable demo bench bench-gpu bench-webgpu fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(CUDA) ## bin/gounet, with CUDA on Linux
	$(WITHCUDA) $(GO) build $(CUDATAG) -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/gounet ./cmd/gounet

$(STUB): backend_cuda/driver/lazy.c backend_cuda/driver/functions.def
	@mkdir -p $(dir $@)
	$(CC) -O2 -fPIC -Wall -c $< -o $(dir $@)lazy.o
	$(AR) rcs $@ $(dir $@)lazy.o

gpu: $(CUDA) ## bin/gpu.tar.xz: the tests that a machine with an NVIDIA GPU runs, without Go; with GOUNET_DATA also what they read
	$(WITHCUDA) $(GO) test $(CUDATAG) -c -trimpath -ldflags '-s -w' -o bin/gpu/ ./backend_cuda ./cmd/gounet
	backend_cuda/pack-gpu.sh bin

test-gpu: ## what needs an NVIDIA GPU; needs Go only where bin/gpu.tar.xz is not there yet
	@[ -x bin/gpu/gounet ] || [ -f bin/gpu.tar.xz ] || $(MAKE) gpu
	backend_cuda/test-gpu.sh $(if $(STRICT),--strict)

nvrtc: ## fetch NVIDIA's compiler of kernels, with which make test compiles them for every GPU
	@[ -d $(NVRTC)/nvidia ] || python3 -m pip install -q --no-deps --target $(NVRTC) nvidia-cuda-nvrtc==$(NVRTC_VERSION) || \
		{ rm -rf $(NVRTC); echo "cannot fetch NVRTC: kernels are not compiled for GPUs"; }

# lint, vet and portable have vetted all that is tested, more than go test would. Tests of servers
# wait for seconds: one package more than there are processors leaves none idle.
PACKAGES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# What runs natively leaves processors idle, which node takes.
test: system lint vet portable generated-unchanged nvrtc $(CUDA) ## everything that must hold: formats, vet, lint, other machines, generated files, tests
	$(MAKE) -j2 --output-sync=line native js
	$(MAKE) browser
	$(MAKE) web-test

native: nvrtc $(CUDA)
	$(WITHCUDA) CUDA_HOME=$(NVRTC)/nvidia/cu13 $(GO) test -vet=off -p $(PACKAGES) $(CUDATAG) -timeout 20m ./...
	$(WITHCUDA) $(GO) test -vet=off -run CUDA ./cmd/gounet

test-long: nvrtc $(CUDA) ## also what takes minutes: the race detector and tests that -short leaves out
	GOUNET_LONG=1 $(WITHCUDA) CUDA_HOME=$(NVRTC)/nvidia/cu13 $(GO) test $(CUDATAG) -timeout 120m ./...
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/gounet
	$(WITHCUDA) $(GO) test -tags otel -run Traces ./cmd/gounet
	$(MAKE) generated-unchanged GENERATE_SKIP=none
	$(MAKE) browser BROWSER_SKIP=none WORKER_RUN=.
	$(MAKE) web-test WEB_SKIP=none
	GOUNET_LONG= $(WITHCUDA) $(GO) test $(CUDATAG) -race -short -timeout 60m ./...

# What takes half of the time in a browser, on its software adapter: natively it is
# tested every time, in the browser by test-long.
BROWSER_SKIP ?= TestConformance/f16|TestConformance/network/(learns|rematerialisation|an_arena)|TestEveryTile|TestWeightsInWorkgroupMemory
# The others of the worker run natively every time.
WORKER_RUN   ?= InABrowser|NoRequest

# Without inlining in Go's library it is a tenth smaller compressed; the kernels are not
# of that library. It does not train: the tag leaves those ops out.
worker: ## bin/worker.wasm, the program of the browser's worker: at most 3 MB compressed
	GOOS=js GOARCH=wasm $(GO) build -tags predict -trimpath -gcflags=std=-l -ldflags '-s -w -X main.version=$(VERSION)' -o bin/worker.wasm ./wasm
	@n=$$(gzip -9 -c bin/worker.wasm | wc -c); test $$n -le 3000000 || { echo "bin/worker.wasm has $$n bytes compressed, at most 3000000 are allowed"; exit 1; }

web: worker ## web/dist, the page: vugu's program, NiiVue, the worker; at most 2.5 MB compressed before the worker
	@if command -v npm >/dev/null; then \
		mkdir -p $(NPM) && cp web/package.json web/package-lock.json $(NPM)/ && \
		{ [ $(NPM)/node_modules/.package-lock.json -nt web/package-lock.json ] || (cd $(NPM) && npm ci --ignore-scripts --no-audit --no-fund --silent); } && \
		$(GO) -C web/bundle run . -version $(VERSION); \
	else \
		echo "no npm: the page is not built"; \
	fi

# What takes a minute and more on a software adapter: of test-long.
WEB_SKIP ?= TheCommandLine/webgpu|ALostGPU|APaused|ALargeCT

web-test: web ## the page in a headless Chromium; GOUNET_SCREENS names a folder for pictures of every state
	$(WITHCUDA) $(GO) -C web/test vet ./...
	$(WITHCUDA) $(GO) -C web/test test -vet=off -timeout 10m -skip '$(WEB_SKIP)' ./...

browser: worker ## the tests of backend_webgpu and of the worker in a headless Chromium
	$(WITHCUDA) $(GO) build -o $(BROWSEREXEC) ./internal/browsertest/exec
	@if $(BROWSEREXEC); then \
		GOOS=js GOARCH=wasm $(GO) test -vet=off -exec $(BROWSEREXEC) -timeout 30m -parallel 4 -skip '$(BROWSER_SKIP)' ./backend_webgpu && \
		GOOS=js GOARCH=wasm $(GO) test -vet=off -exec $(BROWSEREXEC) -timeout 30m -run '$(WORKER_RUN)' ./wasm/worker; \
	else \
		echo "nothing is tested in a browser"; \
	fi

dawn: ## the suite with shader-f16, in node by npm's webgpu: where Vulkan has it, as Mesa 25 in software
	GALLIVM_PERF=nopt GOOS=js GOARCH=wasm $(GO) test -exec $(CURDIR)/internal/browsertest/dawn.sh -timeout 60m -parallel 4 -v -run 'TestHalvesOf|TestConformance/f16|TestEveryTile|TestLogits' ./backend_webgpu

system: ## install what the tests use of the system: a software Vulkan, Chromium, node, a validator of DICOM
	@missing=; \
	ldconfig -p | grep -q libvulkan.so.1 || missing="$$missing mesa-vulkan-drivers libvulkan1"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v $(CXX) >/dev/null || missing="$$missing g++"; \
	command -v dciodvfy >/dev/null || missing="$$missing dicom3tools"; \
	install="apt-get install -qq -y --no-install-recommends $$missing"; \
	[ -z "$$missing" ] || $$install >/dev/null 2>&1 || { apt-get update -qq && $$install >/dev/null; } || echo "cannot install$$missing: tests that use them skip or are left out"

# What a browser reads and computes without a GPU, and what it need not repeat:
# plain Go under js, and tests of machines.
JS      := ./core/nifti ./core/nrrd ./core/metaimage ./core/mgh ./core/analyze ./core/raster ./core/voxel ./core/scan ./core/dicom/... ./core/mesh ./core/measure ./core/preview ./backend_cpu/... ./wasm/worker
JS_SKIP := TestConformance/go|TestConv|TestProgramsHave.*/training|TestRunsAllocate|TestPeaks

js: ## formats of scans and backend_cpu as a browser runs them, in node
	@command -v node >/dev/null || { echo "no node: nothing runs under js"; exit 0; }; \
	GOOS=js GOARCH=wasm $(GO) test -vet=off -short -exec "$$($(GO) env GOROOT)/lib/wasm/go_js_wasm_exec" -skip '$(JS_SKIP)' $(JS)

# lint vets what make build has, but not that assembly fits its declarations.
vet: $(CUDA)
	$(WITHCUDA) $(GO) vet ./backend_cpu ./backend_cuda/... ./cmd/...
	$(WITHCUDA) $(GO) vet -tags otel ./server/... ./cmd/gounet

lint: $(LINTER) $(CUDA) ## gofumpt, depguard and the other checks of .golangci.yml
	$(LINTER) fmt --diff
	$(WITHCUDA) $(LINTER) run $(if $(CUDA),--build-tags cuda)

fmt: $(LINTER) ## write the files as gofumpt wants them
	$(LINTER) fmt

$(LINTER):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

portable:
	GOOS=js GOARCH=wasm $(GO) vet $(PORTABLE)
	GOOS=linux GOARCH=arm64 $(GO) vet $(PORTABLE)

generate: ## write the generated files anew
	$(GO) generate ./...

# Fetching the generator of the server's routes takes minutes: test-long asks it too.
GENERATE_SKIP ?= oapi-codegen

generated-unchanged:
	@mkdir -p $(TOOLS)
	@$(GENERATED) > $(TOOLS)/generated.before
	$(GO) generate -skip '$(GENERATE_SKIP)' ./...
	@$(GENERATED) | diff $(TOOLS)/generated.before - || { echo "make generate changes the files above: run it and keep what it writes"; exit 1; }

demo: build ## plan, train and predict on the hippocampus scans of testdata; writes demo/report.html
	bin/gounet run testdata/hippocampus --work $(DEMO) --demo

bench: build ## speed of ops, a training step and a prediction beside PyTorch's, which is installed into .tools/peers
	PEERS=$(PEERS) bench/compare.py

bench-gpu: ## training and prediction beside PyTorch's on an NVIDIA GPU; needs Go only where gounet is not built yet
	PEERS=$(PEERS) bench/compare.py --device cuda --seconds 2

fuzz: ## every fuzz test for FUZZTIME (1m) each
	@set -e; for package in $$($(GO) list ./...); do \
		for name in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

bench-webgpu: ## kernels beside onnxruntime-web's WebGPU provider in a headless Chromium
	bench/peers/ort_webgpu/run.sh

clean: ## remove what make built; .tools stays
	rm -rf bin $(DEMO)
	find web/dist -type f ! -name .gitignore -delete
