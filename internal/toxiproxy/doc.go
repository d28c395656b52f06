// Package toxiproxy tests the library through a real TCP proxy that delays,
// throttles, slices, stalls and resets connections. It is a module of its own so
// that the proxy is no dependency of the library:
//
//	cd internal/toxiproxy && go test ./...
package toxiproxy
