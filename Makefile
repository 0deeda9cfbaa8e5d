.PHONY: test test-full bench generate

test: ## everything a change must pass
	./test

test-full: ## and a minute of fuzzing for each target
	./test --full

bench: ## the benchmarks beside the code
	go test -run '^$$' -bench . -benchmem ./...

generate: ## the generated pages of docs/
	go generate ./...
