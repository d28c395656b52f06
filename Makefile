.PHONY: help test lint fuzz bench ci

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

test: ## run the tests of all modules
	.ci/run test

lint: ## run vet, gofmt and the pinned golangci-lint
	.ci/run vet lint

fuzz: ## fuzz each target for FUZZTIME (10s)
	.ci/run fuzz

bench: ## run the benchmarks, each for BENCHTIME (1s)
	BENCHTIME=$${BENCHTIME:-1s} .ci/run bench

ci: ## run all that CI runs, but for what needs tools that are missing
	.ci/run
