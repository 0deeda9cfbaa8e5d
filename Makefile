.PHONY: test test-full test-kube test-vault soak bench bench-doctor bench-logs bench-rotate soak-logs generate

KILLS ?= 10000
ROTATIONS ?= 1000

test: ## everything a change must pass
	./test

test-full: ## and a minute of fuzzing for each target
	./test --full

soak: ## 10,000 processes killed anywhere, 1,000 rotations under the eyes of consumers; KILLS and ROTATIONS change how many
	go test ./internal/rotate -count=1 -run 'TestRandomKills$$' -v -kills $(KILLS) -timeout 4h
	go test ./internal/rotate -count=1 -run 'TestConsumersNeverFail$$' -v -rotations $(ROTATIONS) -timeout 4h

bench: ## the benchmarks beside the code
	go test -run '^$$' -bench . -benchmem ./...

bench-doctor: ## 5,000 broken set-ups, diagnosed; what came of them goes to docs/accuracy.md
	go test ./internal/diagnose -count=1 -run TestAccuracy -v -scenarios 5000 -accuracy ../../docs/accuracy.md

bench-logs: ## credsmith logs against ripgrep, jq and the decoders on 1 GiB
	{ command -v rg && command -v jq; } >/dev/null || { apt-get update -q && apt-get install -y -q ripgrep jq; }
	go test -run '^$$' -bench '^BenchmarkLogs$$' -benchtime 1x -timeout 20m ./cmd/credsmith

soak-logs: ## credsmith logs --follow over thousands of rotations under load
	go test ./internal/logscan/tail -run 'TestRotations|TestUnderLoad' -count=5 -rotations 4000

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/credsmith
KUBE ?= $(CACHE)/kube-1.37.2
VAULT ?= $(CACHE)/vault-1.21.4

test-kube: ## the Kubernetes sink on a real API server, built once (minutes) into $(KUBE)
	cd tools/kube && go build -ldflags '-s -w' -o $(KUBE)/ k8s.io/kubernetes/cmd/kube-apiserver && go build -ldflags '-s -w' -o $(KUBE)/etcd go.etcd.io/etcd/server/v3
	KUBE_APISERVER=$(KUBE)/kube-apiserver ETCD=$(KUBE)/etcd go test -count=1 -run TestRealServer -v ./internal/sink/kubernetes

test-vault: ## the Vault sink on a real HashiCorp Vault, built once (minutes) into $(VAULT)
	cd tools/vault && go build -ldflags '-s -w' -o $(VAULT) .
	VAULT_SERVER=$(VAULT) go test -count=1 -run TestRealServer -v ./internal/sink/vault

bench-rotate: ## 1,000 apps x 3 sinks at a tenant that throttles, in virtual time
	go test ./internal/jobs -count=1 -run TestThroughputAtAThrottle -v -apps 1000 -timeout 20m

generate: ## the generated pages of docs/
	go generate ./...
