.PHONY: test test-full bench bench-doctor bench-logs bench-rotate soak-logs generate

test: ## everything a change must pass
	./test

test-full: ## and a minute of fuzzing for each target
	./test --full

bench: ## the benchmarks beside the code
	go test -run '^$$' -bench . -benchmem ./...

bench-doctor: ## 5,000 broken set-ups, diagnosed; what came of them goes to docs/accuracy.md
	go test ./internal/diagnose -count=1 -run TestAccuracy -v -scenarios 5000 -accuracy ../../docs/accuracy.md

bench-logs: ## credsmith logs against ripgrep, jq and the decoders on 1 GiB
	{ command -v rg && command -v jq; } >/dev/null || { apt-get update -q && apt-get install -y -q ripgrep jq; }
	go test -run '^$$' -bench '^BenchmarkLogs$$' -benchtime 1x -timeout 20m ./cmd/credsmith

soak-logs: ## credsmith logs --follow over thousands of rotations under load
	go test ./internal/logscan/tail -run 'TestRotations|TestUnderLoad' -count=5 -rotations 4000

bench-rotate: ## 1,000 apps x 3 sinks at a tenant that throttles, in virtual time
	go test ./internal/jobs -count=1 -run TestThroughputAtAThrottle -v -apps 1000 -timeout 20m

generate: ## the generated pages of docs/
	go generate ./...
