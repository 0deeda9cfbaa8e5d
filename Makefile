.PHONY: test test-full bench bench-logs generate

test: ## everything a change must pass
	./test

test-full: ## and a minute of fuzzing for each target
	./test --full

bench: ## the benchmarks beside the code
	go test -run '^$$' -bench . -benchmem ./...

bench-logs: ## credsmith logs against ripgrep on 1 GiB
	command -v rg >/dev/null || { apt-get update -q && apt-get install -y -q ripgrep; }
	go test -run '^$$' -bench '^BenchmarkLogs$$' -benchtime 1x -timeout 20m ./cmd/credsmith

generate: ## the generated pages of docs/
	go generate ./...
