.PHONY: test test-full bench bench-doctor generate

test: ## everything a change must pass
	./test

test-full: ## and a minute of fuzzing for each target
	./test --full

bench: ## the benchmarks beside the code
	go test -run '^$$' -bench . -benchmem ./...

bench-doctor: ## 5,000 broken set-ups, diagnosed; writes docs/accuracy.md
	go test ./internal/diagnose -count=1 -run '^TestAccuracy$$' -v -scenarios 5000 -accuracy $(CURDIR)/docs/accuracy.md

generate: ## the generated pages of docs/
	go generate ./...
